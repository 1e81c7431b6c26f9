"""Counting pairs as they come, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from siamese.scored_pairs import normal_pairs, scored_pairs, streamed

from lossmith.siamese.distance_counts import DistanceCounts
from lossmith.siamese.verification import VerificationScores, verification_report

pytestmark = pytest.mark.backend_free


class TestStreaming:
    @given(scored_pairs(), st.lists(st.integers(0, 40), max_size=4), st.randoms())
    @settings(max_examples=80, deadline=None)
    def test_neither_batches_nor_order_matter(self, pairs, cuts, random):
        distances, labels = pairs
        whole = streamed(distances, labels, bins=64).counts()
        order = list(range(len(labels)))
        random.shuffle(order)
        scores = VerificationScores(bins=64)
        for part in np.split(np.array(order), sorted(cuts)):
            scores.update(distances[part], labels[part])
        self.assert_equal(scores.counts(), whole)

    @given(scored_pairs(), st.integers(0, 40))
    @settings(max_examples=80, deadline=None)
    def test_merging_equals_counting_together(self, pairs, cut):
        distances, labels = pairs
        one = streamed(distances[:cut], labels[:cut], bins=64)
        other = streamed(distances[cut:], labels[cut:], bins=64)
        unchanged = other.resolution, repr(other)
        one.merge(other)
        self.assert_equal(one.counts(), streamed(distances, labels, bins=64).counts())
        assert (other.resolution, repr(other)) == unchanged

    @staticmethod
    def assert_equal(one, other):
        for name in ("lower", "upper", "same", "different"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))

    @given(st.one_of(scored_pairs(), scored_pairs(dtype=np.float64)))
    @settings(max_examples=80, deadline=None)
    def test_counts_are_a_histogram(self, pairs):
        distances, labels = pairs
        counts = streamed(distances, labels, bins=16).counts()
        for lower, upper, same, different in zip(
            counts.lower, counts.upper, counts.same, counts.different, strict=True
        ):
            inside = (distances >= lower) & (distances < upper)
            assert (same, different) == (labels[inside].sum(), (1 - labels[inside]).sum())
        assert counts.same.sum() + counts.different.sum() == len(labels)

    @given(scored_pairs())
    @settings(max_examples=80, deadline=None)
    def test_figures_are_within_what_a_bin_can_hide(self, pairs):
        distances, labels = pairs
        exact = DistanceCounts.from_distances(distances, labels)
        binned = streamed(distances, labels, bins=32).counts()
        couples = binned.same_pairs * binned.different_pairs
        hidden = (binned.same * binned.different).sum() / couples
        assert abs(binned.auc() - exact.auc()) <= hidden / 2 + 1e-12
        largest_step = (binned.different / binned.different_pairs).max()
        assert abs(binned.equal_error_rate() - exact.equal_error_rate()) <= largest_step + 1e-12

        roc = binned.roc()
        for threshold in roc.thresholds:
            assert binned.rates_at(threshold) == pytest.approx(exact.rates_at(threshold))

    def test_the_resolution_follows_the_largest_distance(self):
        scores = VerificationScores(bins=1024)
        for largest in (0.0, 1e-6, 0.3, 1.99, 2.0, 1e9):
            scores.update([largest, largest / 3], [1, 0])
            if largest > 0:
                assert largest / 1024 < scores.resolution <= largest / 512
        assert math.log2(scores.resolution).is_integer()

    def test_a_threshold_within_a_bin_counts_the_bin_in_proportion(self):
        scores = VerificationScores(bins=2)
        scores.update([0.0, 0.25, 0.25, 0.75], [1, 1, 0, 0])
        assert scores.resolution == 0.5
        assert scores.counts().rates_at(0.125) == (0.125, 0.25)
        assert scores.counts().rates_at(0.5) == (0.5, 1.0)

    def test_a_million_pairs_give_the_exact_figures(self):
        distances, labels = normal_pairs(1_000_000, seed=5)
        scores = VerificationScores()
        for part in np.array_split(np.arange(len(labels)), 7):
            scores.update(distances[part], labels[part][:, None])
        binned, exact = scores.counts(), DistanceCounts.from_distances(distances, labels)
        assert binned.auc() == pytest.approx(exact.auc(), abs=1e-8)
        assert binned.equal_error_rate() == pytest.approx(exact.equal_error_rate(), abs=1e-5)
        assert binned.rates_at(0.5) == exact.rates_at(0.5)

    @pytest.mark.parametrize("bins", [2**4, 2**16])
    @pytest.mark.parametrize("distance_dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("label_dtype", [bool, np.int8, np.uint16, np.int32, "i8", "f2", "f4"])
    def test_labels_of_any_kind_count_alike_in_batches_larger_than_a_chunk(
        self, bins, distance_dtype, label_dtype
    ):
        distances, labels = normal_pairs(2 * VerificationScores._CHUNK + 77, seed=6)
        distances = distances.astype(distance_dtype)
        scores = VerificationScores(bins)
        scores.update(distances, labels.astype(label_dtype))
        counts = scores.counts()
        edges = np.append(counts.lower, counts.upper[-1])
        # Bins in between that are empty leave levels apart; nothing lies there.
        for kind, counted in ((1, counts.same), (0, counts.different)):
            expected, _ = np.histogram(distances[labels == kind].astype(np.float64), edges)
            np.testing.assert_array_equal(counted, expected)
        assert (counts.same + counts.different).sum() == len(labels)

    def test_a_negative_zero_is_a_zero_among_larger_distances(self):
        scores, plain = VerificationScores(16), VerificationScores(16)
        scores.update(np.float32([-0.0, 3.0, 1.0]), [1, 0, 1])
        plain.update(np.float32([0.0, 3.0, 1.0]), [1, 0, 1])
        assert scores.resolution == plain.resolution
        np.testing.assert_array_equal(scores.counts().lower, plain.counts().lower)

    def test_an_empty_batch_changes_nothing(self):
        scores = streamed([0.1, 0.9], [1, 0])
        before = repr(scores), scores.resolution
        scores.update(np.empty(0), np.empty(0))
        assert (repr(scores), scores.resolution) == before

    def test_a_refused_batch_leaves_no_trace(self):
        scores = streamed([0.1, 0.9], [1, 0])
        before = repr(scores), scores.resolution
        with pytest.raises(ValueError, match="finite"):
            scores.update([5.0, 0.2, float("nan")], [1, 0, 1])
        assert (repr(scores), scores.resolution) == before
        assert repr(scores) == "VerificationScores(same_pairs=1, different_pairs=1)"

    def test_takes_very_small_and_very_large_distances(self):
        counts = streamed(np.array([1e-38, 0.0, 1e38], np.float32), [1, 1, 0]).counts()
        assert counts.auc() == 1.0
        assert np.isfinite(counts.roc().thresholds).all()

    @pytest.mark.parametrize("bins", [0, 1, 3, -4, 2.0])
    def test_refuses_bins_that_cannot_be_halved(self, bins):
        with pytest.raises(ValueError, match=f"power of two of at least 2. Received: {bins}"):
            VerificationScores(bins)

    def test_refuses_to_merge_other_bins(self):
        with pytest.raises(ValueError, match=r"same number of bins.*4 and 8"):
            VerificationScores(4).merge(VerificationScores(8))


def by_arrays(distances, labels):
    DistanceCounts.from_distances(distances, labels)


def by_stream(distances, labels):
    streamed(distances, labels).counts()


@pytest.mark.parametrize("evaluate", [by_arrays, by_stream])
class TestInput:
    @pytest.mark.parametrize(
        ("distances", "labels", "message"),
        [
            ([0.1, float("nan")], [1, 0], r"finite.*not negative\. Received: nan at position 1"),
            ([float("inf"), 0.1], [1, 0], "Received: inf at position 0"),
            ([0.1, -0.5], [1, 0], r"Received: -0\.5 at position 1"),
            ([0.1, 0.2], [1, 2], r"1 \(same\) or 0 \(different\)\. Received: 2 at position 1"),
            ([0.1, 0.2], [0.5, 1], r"Received: 0\.5 at position 0"),
            ([0.1, 0.2], [-1, 1], "Received: -1 at position 0"),
            ([0.1, 0.2], [1, float("nan")], "Received: nan at position 1"),
            ([0.1, 0.2], ["same", "other"], "labels must be real numbers"),
            ([0.1, 0.2], [1], "2 distances and 1 labels"),
            ([0.1, 0.2], [1, 1], "All 2 pairs are same"),
            ([0.1, 0.2], [0, 0], "All 2 pairs are different"),
            ([], [], "no pairs"),
            (0.1, 1, r"shape \(N,\) or \(N, 1\)\. Received: shape \(\)"),
            ([[0.1, 0.2]], [1, 0], r"distances must have shape.*\(1, 2\)"),
            ([0.1, 0.2], [[1, 0]], r"labels must have shape.*\(1, 2\)"),
            ([0.1j, 0.2], [1, 0], "distances must be real numbers.*complex"),
        ],
    )
    def test_refuses_what_is_no_scored_pair(self, evaluate, distances, labels, message):
        with pytest.raises(ValueError, match=message):
            evaluate(distances, labels)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8])
    @pytest.mark.parametrize("label_dtype", [bool, np.int8, np.int64, np.float32])
    def test_takes_columns_and_every_kind_of_number(self, evaluate, dtype, label_dtype):
        distances = np.array([0, 1, 2, 3], dtype=dtype)[:, None]
        evaluate(distances, np.array([1, 0, 1, 0], dtype=label_dtype))
        evaluate(distances[:, 0], np.array([[1], [0], [1], [0]], dtype=label_dtype))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"threshold": -1.0}, r"threshold must be finite and not negative\. Received: -1\.0"),
        ({"threshold": math.nan}, "threshold must be finite"),
        ({"threshold": math.inf}, "threshold must be finite"),
        ({"false_accept_rates": [0.0]}, r"false_accept_rates must lie in \(0, 1\)"),
        ({"false_accept_rates": [0.1, 1.0]}, r"Received: 1\.0"),
        ({"confidence": 1.0}, r"confidence must be in \(0, 1\)"),
        ({"resamples": 39}, "0.95 confidence need at least 40 resamples"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        verification_report([0.1, 0.2], [1, 0], **setting)
    with pytest.raises(ValueError, match=message):
        streamed([0.1, 0.2], [1, 0]).report(**setting)
