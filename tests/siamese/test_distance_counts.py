"""The figures of counted pairs against scikit-learn, SciPy, plain loops and properties."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from siamese.scored_pairs import normal_pairs, rates_by_loop, scored_pairs
from sklearn.metrics import roc_auc_score, roc_curve

from lossmith.siamese.distance_counts import DistanceCounts

pytestmark = pytest.mark.backend_free


class TestFigures:
    """The exact figures, each against an independent computation."""

    @given(scored_pairs())
    @settings(max_examples=80, deadline=None)
    def test_roc_equals_scikit_learn(self, pairs):
        distances, labels = pairs
        roc = DistanceCounts.from_distances(distances, labels).roc()
        false, true, _ = roc_curve(labels, -distances, drop_intermediate=False)
        np.testing.assert_allclose(roc.false_accept_rate, false)
        np.testing.assert_allclose(roc.true_accept_rate, true)

    @given(st.one_of(scored_pairs(), scored_pairs(dtype=np.float64)))
    @settings(max_examples=80, deadline=None)
    def test_each_threshold_of_the_roc_decides_as_it_says(self, pairs):
        distances, labels = pairs
        counts = DistanceCounts.from_distances(distances, labels)
        roc = counts.roc()
        assert (np.diff(roc.thresholds) > 0).all()
        for threshold, *rates in zip(
            roc.thresholds.tolist(), roc.false_accept_rate, roc.true_accept_rate, strict=True
        ):
            assert rates_by_loop(distances, labels, threshold) == pytest.approx(rates)
            assert counts.rates_at(threshold) == pytest.approx(rates)

    @given(scored_pairs())
    @settings(max_examples=80, deadline=None)
    def test_auc_equals_scikit_learn(self, pairs):
        distances, labels = pairs
        auc = DistanceCounts.from_distances(distances, labels).auc()
        assert auc == pytest.approx(roc_auc_score(labels, -distances))

    def test_equal_error_rate_equals_a_root_search_on_the_roc(self):
        for seed in range(10):
            distances, labels = normal_pairs(200 + seed, seed, same_fraction=0.3)
            false, true, _ = roc_curve(labels, -distances, drop_intermediate=False)
            curve = interp1d(false, true)
            expected = brentq(lambda x, curve=curve: 1 - x - curve(x), 0, 1)
            rate = DistanceCounts.from_distances(distances, labels).equal_error_rate()
            assert rate == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize(
        ("distances", "labels", "expected"),
        [
            ([0.1, 0.2, 0.3, 0.4], [1, 1, 0, 0], 0.0),
            ([0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1], 1.0),
            ([0.5, 0.5, 0.5], [1, 0, 0], 0.5),
            ([0.1, 0.2, 0.3, 0.4], [1, 0, 1, 0], 0.5),
            # The segment from (FAR, TAR) = (0, 1/2) to (1, 1) meets FAR = 1 - TAR at 1/3.
            ([0.1, 0.2, 0.2], [1, 1, 0], 1 / 3),
        ],
    )
    def test_equal_error_rate_by_hand(self, distances, labels, expected):
        rate = DistanceCounts.from_distances(distances, labels).equal_error_rate()
        assert rate == pytest.approx(expected)

    @given(scored_pairs())
    @settings(max_examples=80, deadline=None)
    def test_no_threshold_is_more_accurate_than_the_best(self, pairs):
        distances, labels = pairs
        best = DistanceCounts.from_distances(distances, labels).best_threshold()
        candidates = [*np.unique(distances).tolist(), 101.0]
        accuracies = [((distances < t) == labels).mean() for t in candidates]
        assert ((distances < best) == labels).mean() == pytest.approx(max(accuracies))

    def test_the_best_threshold_is_in_the_middle_of_the_gap(self):
        counts = DistanceCounts.from_distances([0.1, 0.25, 0.75, 0.9], [1, 1, 0, 0])
        assert counts.best_threshold() == 0.5

    def test_of_several_best_thresholds_the_one_in_the_widest_gap_is_taken(self):
        distances, labels = [0.125, 0.25, 0.375, 1.0, 1.5], [1, 0, 1, 0, 0]
        right = [np.sum((np.array(distances) < t) == labels) for t in (0.2, 0.3, 0.6, 1.2)]
        assert right == [4, 3, 4, 3]
        assert DistanceCounts.from_distances(distances, labels).best_threshold() == 0.6875

    @given(scored_pairs(), st.sampled_from([0.001, 0.1, 0.29, 0.5, 0.9]))
    @settings(max_examples=80, deadline=None)
    def test_the_threshold_at_a_false_accept_rate_is_the_largest(self, pairs, rate):
        distances, labels = pairs
        threshold = DistanceCounts.from_distances(distances, labels).threshold_at(rate)
        assert rates_by_loop(distances, labels, threshold)[0] <= rate
        larger = distances[distances >= threshold]
        if larger.size:
            beyond = np.nextafter(larger.min(), np.float32(np.inf))
            assert rates_by_loop(distances, labels, beyond)[0] > rate

    def test_a_rate_that_is_a_whole_number_of_pairs_is_used_up(self):
        # 0.29 * 100 is 28.999999999999996 in floating point.
        distances = np.arange(101) + 1.0
        labels = [1] + [0] * 100
        counts = DistanceCounts.from_distances(distances, labels)
        assert counts.rates_at(counts.threshold_at(0.29)) == (0.29, 1.0)

    @given(scored_pairs(), st.sampled_from([lambda d: d * 8, lambda d: d**2, np.sqrt, np.log1p]))
    @settings(max_examples=80, deadline=None)
    def test_a_monotone_map_of_the_distances_changes_no_figure(self, pairs, mapping):
        distances, labels = pairs
        mapped = mapping(distances.astype(np.float64))
        assume(len(np.unique(mapped)) == len(np.unique(distances)))
        one = DistanceCounts.from_distances(distances, labels)
        other = DistanceCounts.from_distances(mapped, labels)
        assert one.auc() == other.auc()
        assert one.equal_error_rate() == other.equal_error_rate()
        for rate in (0.1, 0.5):
            rates = one.rates_at(one.threshold_at(rate))
            assert other.rates_at(other.threshold_at(rate)) == rates

    def test_neighbouring_float32_distances_are_told_apart(self):
        close = np.float32(0.7)
        far = np.nextafter(close, np.float32(1))
        distances = np.array([close, far])
        threshold = DistanceCounts.from_distances(distances, [1, 0]).best_threshold()
        assert (distances < threshold).tolist() == [True, False]
