"""The report: its figures, their intervals, and how it reads."""

import json
import math

import numpy as np
import pytest
from scipy.stats import binom
from siamese.scored_pairs import normal_pairs, rates_by_loop, streamed
from sklearn.metrics import roc_auc_score

from lossmith.siamese.distance_counts import DistanceCounts
from lossmith.siamese.verification import verification_report

pytestmark = pytest.mark.backend_free


@pytest.fixture(scope="module")
def report():
    return verification_report(
        TestReport.distances,
        TestReport.labels,
        threshold=0.5,
        false_accept_rates=(0.05, 1e-4),
        resamples=200,
    )


class TestReport:
    distances, labels = normal_pairs(1500, seed=1, same_fraction=0.4)

    def test_values_are_those_of_the_pairs(self, report):
        distances, labels = self.distances, self.labels
        counts = DistanceCounts.from_distances(distances, labels)
        assert report.same_pairs == labels.sum()
        assert report.different_pairs == (1 - labels).sum()
        assert report.resolution == 0.0
        assert report.auc.value == pytest.approx(roc_auc_score(labels, -distances))
        assert report.equal_error_rate.value == counts.equal_error_rate()
        assert report.best.threshold.value == counts.best_threshold()
        assert report.at_false_accept_rate[0].point.threshold.value == counts.threshold_at(0.05)
        assert report.given.threshold.value == 0.5
        for point in (report.best, report.given, report.at_false_accept_rate[0].point):
            threshold = point.threshold.value
            false_accepts, true_accepts = rates_by_loop(distances, labels, threshold)
            assert point.false_accept_rate.value == pytest.approx(false_accepts)
            assert point.true_accept_rate.value == pytest.approx(true_accepts)
            assert point.accuracy.value == pytest.approx(((distances < threshold) == labels).mean())
            balanced = (true_accepts + 1 - false_accepts) / 2
            assert point.balanced_accuracy.value == pytest.approx(balanced)

    def test_intervals_contain_the_value(self, report):
        for estimate in self.estimates(report):
            assert estimate["low"] <= estimate["value"] <= estimate["high"]

    @staticmethod
    def estimates(report):
        as_dict = report.to_dict()
        points = [as_dict["best"], as_dict["given"]]
        points += [target["point"] for target in as_dict["at_false_accept_rate"]]
        figures = [figure for point in points for figure in point.values()]
        return [as_dict["auc"], as_dict["equal_error_rate"], *figures]

    def test_a_rate_that_few_pairs_cannot_show_is_declared_unattainable(self, report):
        attained, unattainable = report.at_false_accept_rate
        assert attained.attainable
        assert 0 < attained.point.false_accept_rate.value <= 0.05
        assert not unattainable.attainable
        assert unattainable.different_pairs_needed == 10_000
        rate = unattainable.point.false_accept_rate
        assert rate.value == 0.0
        # The largest rate at which no false accept among all different pairs is not unlikely.
        assert binom.pmf(0, report.different_pairs, rate.high) == pytest.approx(0.025)
        closest = self.distances[self.labels == 0].min()
        assert unattainable.point.threshold.value <= closest
        text = str(report)
        assert "At a false accept rate of 0.0001" in text
        assert "NOT ATTAINABLE" in text
        assert "10,000 different pairs are needed" in text

    def test_ties_can_make_a_rate_unattainable(self):
        report = verification_report(
            [0, 0, 0, 0, 1, 1], [1, 0, 0, 0, 0, 0], false_accept_rates=[0.4]
        )
        assert not report.at_false_accept_rate[0].attainable
        assert report.at_false_accept_rate[0].point.false_accept_rate.value == 0.0

    def test_is_plain_json(self, report):
        stored = json.dumps(report.to_dict(), allow_nan=False)
        assert json.loads(stored) == report.to_dict()

    def test_reads_well(self, report):
        lines = str(report).splitlines()
        assert "same and" in lines[0]
        assert "95% intervals from 200 resamples of pairs" in lines[0]
        assert f"AUC                     {report.auc.value:.4f} [" in lines[1]
        assert any(line.startswith("At the given threshold: distance < 0.5000") for line in lines)

    def test_without_a_threshold_none_is_reported(self):
        report = verification_report(self.distances, self.labels, resamples=50)
        assert report.given is None
        assert report.to_dict()["given"] is None
        assert "given" not in str(report)

    def test_is_reproducible_by_seed(self):
        one, again, other = (
            verification_report(self.distances, self.labels, resamples=50, seed=seed)
            for seed in (3, 3, 4)
        )
        assert one == again
        assert one != other
        assert one.auc.value == other.auc.value

    def test_streaming_reports_the_same(self, report):
        scores = streamed(self.distances, self.labels)
        binned = scores.report(threshold=0.5, false_accept_rates=(0.05, 1e-4), resamples=200)
        assert binned.resolution == scores.resolution
        for exact, estimate in zip(self.estimates(report), self.estimates(binned), strict=True):
            assert estimate["value"] == pytest.approx(exact["value"], abs=1e-3)
            # Two sets of 200 resamples differ; the tails of the thresholds most.
            assert estimate["low"] == pytest.approx(exact["low"], abs=0.03)
            assert estimate["high"] == pytest.approx(exact["high"], abs=0.03)

    def test_intervals_of_rates_agree_with_the_binomial(self):
        distances, labels = normal_pairs(4000, seed=2)
        rate = verification_report(
            distances, labels, threshold=0.5, resamples=2000
        ).given.true_accept_rate
        low, high = binom.interval(0.95, labels.sum(), rate.value) / labels.sum()
        assert (rate.low, rate.high) == pytest.approx((low, high), abs=0.003)

    def test_intervals_cover_the_truth_about_as_often_as_they_say(self):
        # P(|N(.4, .3)| < .5) for same pairs.
        truth = 0.5 * (math.erf(0.1 / 0.3 / math.sqrt(2)) - math.erf(-0.9 / 0.3 / math.sqrt(2)))
        covered = 0
        for seed in range(100):
            rate = verification_report(
                *normal_pairs(400, seed),
                threshold=0.5,
                false_accept_rates=(),
                confidence=0.9,
                resamples=100,
                seed=seed,
            ).given.true_accept_rate
            covered += rate.low <= truth <= rate.high
        # Four standard deviations of the number of successes in 100 trials.
        assert abs(covered - 90) <= 12

    def test_perfect_separation_of_few_pairs_is_not_reported_as_certain(self):
        report = verification_report([0.1, 0.2, 0.3, 0.8, 0.9], [1, 1, 1, 0, 0])
        assert report.auc.value == 1.0
        assert report.auc.low == pytest.approx(0.025 ** (1 / 2))
        assert report.equal_error_rate.high == pytest.approx(1 - 0.025 ** (1 / 2))
        assert report.best.true_accept_rate.low == pytest.approx(0.025 ** (1 / 3))
        assert report.best.accuracy.low == pytest.approx(0.025 ** (1 / 5))
        assert report.best.balanced_accuracy.low == pytest.approx(0.025 ** (1 / 2))


class TestTooFew:
    """Where all resamples are alike they say nothing, and an interval must not either."""

    @staticmethod
    def of_three_items(**settings):
        return verification_report(
            [0.5, 0.7, 0.4],
            [1, 0, 0],
            items=np.array([[0, 1], [0, 2], [1, 2]]),
            threshold=0.6,
            **settings,
        )

    def test_three_items_leave_every_rate_open(self):
        report = self.of_three_items()
        assert report.too_few
        assert report.to_dict()["too_few"] is True
        accuracy = report.given.accuracy
        for figure in (report.auc, report.equal_error_rate, accuracy, report.best.accuracy):
            assert figure.low <= 0.025
            assert figure.high >= 0.975
        assert (report.best.threshold.low, report.best.threshold.high) == (0.0, 0.7)
        assert report.given.threshold.low == report.given.threshold.high == 0.6
        assert "too few test items" in str(report)

    def test_enough_for_95_percent_may_be_too_few_for_99(self):
        """Six items have some 120 resamples; 40 must come up for the one, 200 for the other."""
        items = np.stack(np.triu_indices(6, k=1), axis=1)
        labels = np.diff(items % 2, axis=1)[:, 0] == 0
        distances = np.linspace(0.1, 0.9, len(items))
        few = [
            verification_report(
                distances, labels, items=items, confidence=confidence, resamples=400
            ).too_few
            for confidence in (0.95, 0.99)
        ]
        assert few == [False, True]

    def test_many_pairs_are_enough_also_where_they_leave_no_doubt(self):
        report = verification_report(np.repeat([0.1, 0.9], 200), np.repeat([1, 0], 200))
        assert not report.too_few
        assert "too few" not in str(report)
        assert report.auc.low > 0.98

    def test_equal_distances_are_not_certain_to_be_equal_for_ever(self):
        auc = verification_report(np.full(400, 0.5), np.repeat([1, 0], 200)).auc
        assert auc.value == 0.5
        assert 0.45 < auc.low < 0.5 < auc.high < 0.55


class TestSharedItems:
    """Intervals from resampled items."""

    @staticmethod
    def all_pairs_of(items, seed):
        """All pairs of points of two classes, where a few points lie far out."""
        rng = np.random.default_rng(seed)
        classes = np.arange(items) % 2
        points = classes + rng.normal(scale=0.7, size=items)
        i, j = np.triu_indices(items, 1)
        return np.abs(points[i] - points[j]), classes[i] == classes[j], np.stack([i, j], axis=1)

    def test_values_do_not_change_and_intervals_widen(self):
        distances, same, pairs = self.all_pairs_of(60, seed=0)
        of_pairs = verification_report(distances, same, resamples=200)
        of_items = verification_report(distances, same, items=pairs, resamples=200)
        assert of_items.resampled == "items"
        assert of_items.auc.value == of_pairs.auc.value
        assert of_items.auc.high - of_items.auc.low > 1.5 * (of_pairs.auc.high - of_pairs.auc.low)

    def test_item_intervals_cover_where_pair_intervals_do_not(self):
        many = [self.all_pairs_of(400, seed)[:2] for seed in range(500, 520)]
        truth = np.mean([DistanceCounts.from_distances(*pairs).auc() for pairs in many])
        covered = {"items": 0, "pairs": 0}
        for seed in range(60):
            distances, same, pairs = self.all_pairs_of(40, seed)
            for unit, items in (("items", pairs), ("pairs", None)):
                auc = verification_report(
                    distances, same, items=items, false_accept_rates=(), resamples=60, seed=seed
                ).auc
                covered[unit] += auc.low <= truth <= auc.high
        assert covered["items"] >= 54
        assert covered["pairs"] <= 48

    def test_pairs_without_shared_items_are_as_pairs(self):
        distances, labels = normal_pairs(1000, seed=3)
        items = np.arange(2000).reshape(1000, 2)
        report = verification_report(distances, labels, items=items, threshold=0.5, resamples=500)
        alone = verification_report(distances, labels, threshold=0.5, resamples=500)
        # The product of two draws varies more than one draw does, by sqrt(3) here.
        width = report.given.accuracy.high - report.given.accuracy.low
        expected = alone.given.accuracy.high - alone.given.accuracy.low
        assert 1.3 < width / expected < 2.1

    def test_names_of_items_may_be_any_integers(self):
        distances, same, pairs = self.all_pairs_of(20, seed=1)
        one = verification_report(distances, same, items=pairs, resamples=50)
        other = verification_report(distances, same, items=pairs * 7 - 3, resamples=50)
        assert one == other

    def test_an_item_bound_counts_disjoint_pairs(self):
        report = verification_report(
            [0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], items=[[0, 1], [2, 3], [0, 2], [1, 3]]
        )
        assert report.best.accuracy.low == pytest.approx(0.025 ** (1 / 2))

    @pytest.mark.parametrize("items", [[[0, 1]], [0, 1], [[0.0, 1.0], [1.0, 2.0]]])
    def test_refuses_items_that_do_not_fit(self, items):
        with pytest.raises(ValueError, match=r"items must be integers of shape \(2, 2\)"):
            verification_report([0.1, 0.2], [1, 0], items=items)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resamples": 50.5}, r"resamples must be a whole number. Received: 50.5"),
        ({"false_accept_rates": 0.1}, r"sequence of rates, such as \(0.01, 0.001\). Received: 0.1"),
        ({"false_accept_rates": "0.1"}, "sequence of rates"),
    ],
)
def test_settings_of_another_kind_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        verification_report([0.1, 0.2, 0.3], [1, 0, 1], **settings)
