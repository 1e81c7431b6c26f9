"""Which pairs are drawn from class labels, against plain loops and counts."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmith.siamese.pair_sampling import balanced_pairs, exhaustive_pairs, lab_pairs

pytestmark = pytest.mark.backend_free

# Classes of at least two items each, in any order.
CLASS_LABELS = (
    st.lists(st.integers(2, 7), min_size=2, max_size=5)
    .map(lambda sizes: [c for c, size in enumerate(sizes) for _ in range(size)])
    .flatmap(st.permutations)
)


class TestBalancedPairs:
    @given(CLASS_LABELS, st.integers(0, 5))
    @settings(max_examples=60, deadline=None)
    def test_each_item_is_left_in_one_same_and_one_different_pair(self, labels, epoch):
        pairs, same = balanced_pairs(labels, seed=3, epoch=epoch)
        everyone = list(range(len(labels)))
        assert sorted(pairs[same == 1, 0].tolist()) == everyone
        assert sorted(pairs[same == 1, 1].tolist()) == everyone
        assert sorted(pairs[same == 0, 0].tolist()) == everyone
        for (i, j), label in zip(pairs.tolist(), same.tolist(), strict=True):
            assert i != j
            assert (labels[i] == labels[j]) == bool(label)

    @given(CLASS_LABELS, st.integers(1, 9))
    @settings(max_examples=40, deadline=None)
    def test_every_batch_is_balanced(self, labels, batch_size):
        _, same = balanced_pairs(labels)
        for start in range(0, len(same), batch_size):
            batch = same[start : start + batch_size]
            assert abs(int(batch.sum()) * 2 - len(batch)) <= 1

    def test_is_reproducible_and_differs_by_seed_and_epoch(self):
        labels = np.repeat(np.arange(5), 20)
        drawn = {
            balanced_pairs(labels, seed, epoch)[0].tobytes() for seed in (0, 1) for epoch in (0, 1)
        }
        assert len(drawn) == 4
        assert balanced_pairs(labels, 1, 1)[0].tobytes() in drawn

    def test_different_items_are_drawn_evenly_from_the_other_classes(self):
        labels = np.array([0] * 2 + [1] * 3 + [2] * 5)
        seen = np.zeros((10, 10))
        for epoch in range(3000):
            pairs, same = balanced_pairs(labels, epoch=epoch)
            np.add.at(seen, tuple(pairs[same == 0].T), 1)
        expected = (labels[:, None] != labels).astype(float)
        expected *= 3000 / expected.sum(axis=1, keepdims=True)
        # Five standard deviations of the largest count, 3000 draws of probability 1/5.
        np.testing.assert_allclose(seen, expected, atol=5 * np.sqrt(3000 * 0.2 * 0.8))

    def test_same_items_are_drawn_evenly_from_the_class(self):
        labels = np.array([0] * 4 + [1] * 4)
        seen = np.zeros((8, 8))
        for epoch in range(3000):
            pairs, same = balanced_pairs(labels, epoch=epoch)
            np.add.at(seen, tuple(pairs[same == 1].T), 1)
        expected = 1000.0 * ((labels[:, None] == labels) & ~np.eye(8, dtype=bool))
        np.testing.assert_allclose(seen, expected, atol=5 * np.sqrt(3000 * (1 / 3) * (2 / 3)))

    def test_single_items_take_part_in_different_pairs_only_and_are_named(self):
        with pytest.warns(UserWarning, match="'owl'.*different pairs only") as caught:
            pairs, same = balanced_pairs(["cat", "cat", "owl", "dog", "dog"])
        assert caught[0].filename == __file__
        assert sorted(pairs[same == 1, 0].tolist()) == [0, 1, 3, 4]
        assert 2 not in pairs[same == 1]
        assert sorted(pairs[same == 0, 0].tolist()) == [0, 1, 2, 3, 4]

    def test_the_kinds_are_interleaved_in_proportion_when_single_items_are_many(self):
        labels = [0, 0, *range(1, 9)]
        with pytest.warns(UserWarning, match="single item"):
            _, same = balanced_pairs(labels)
        assert same.sum() == 2
        assert same[:6].sum() == same[6:].sum() == 1

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([1, 1, 1], r"at least two classes.*3 items of 1 class \[1\]"),
            ([], "0 items of 0 class"),
            ([1, 2, 3], "class with at least two items.*3 classes"),
            ([[0, 1], [1, 0]], r"shape \(N,\).*\(2, 2\)"),
            ([0.0, float("nan"), 1.0], "NaN at position 1"),
            (np.array(["2020-01-01", "2021-01-01", "NaT"], "datetime64[D]"), "NaT at position 2"),
            (np.array(["a", None, "b"], dtype=object), "None at position 1"),
            (np.array(["a", "b", np.nan], dtype=object), "nan at position 2"),
            (np.array(["a", 1, "b"], dtype=object), "can be sorted.*int and str"),
        ],
    )
    def test_refuses_labels_that_make_no_pairs(self, labels, message):
        with pytest.raises(ValueError, match=message):
            balanced_pairs(labels)

    @pytest.mark.parametrize("value", [-1, 1.5, "1"])
    def test_refuses_a_seed_or_epoch_that_is_no_natural_number(self, value):
        with pytest.raises(ValueError, match="seed must be a non-negative integer"):
            balanced_pairs([0, 0, 1, 1], seed=value)
        with pytest.raises(ValueError, match="epoch must be a non-negative integer"):
            balanced_pairs([0, 0, 1, 1], epoch=value)


class TestLabPairs:
    @staticmethod
    def from_the_course(labels, draw):
        """The lab's loop, with `draw(1, n)` for `random.randrange(1, n)`."""
        labels = np.asarray(labels)
        names = sorted(set(labels.tolist()))
        idx = [np.where(labels == name)[0] for name in names]
        n = min(len(i) for i in idx) - 1
        pairs, same = [], []
        for d in range(len(names)):
            for i in range(n):
                pairs.append([idx[d][i], idx[d][i + 1]])
                other = (d + draw(1, len(names))) % len(names)
                pairs.append([idx[d][i], idx[other][i]])
                same += [1, 0]
        return np.array(pairs), np.array(same)

    @given(CLASS_LABELS)
    @settings(max_examples=40, deadline=None)
    def test_follows_the_lab_up_to_the_choice_of_the_other_class(self, labels):
        pairs, same = lab_pairs(labels, seed=2)
        expected, expected_same = self.from_the_course(labels, random.Random(0).randrange)
        np.testing.assert_array_equal(same, expected_same)
        np.testing.assert_array_equal(pairs[::2], expected[::2])
        np.testing.assert_array_equal(pairs[1::2, 0], expected[1::2, 0])

        labels = np.asarray(labels)
        rank = np.array([np.sum(labels[:k] == labels[k]) for k in range(len(labels))])
        left, right = pairs[1::2].T
        assert (labels[left] != labels[right]).all()
        np.testing.assert_array_equal(rank[left], rank[right])

    def test_draws_the_other_class_evenly(self):
        labels = np.tile(np.arange(4), 3001)
        pairs, same = lab_pairs(labels)
        left, right = labels[pairs[same == 0]].T
        seen = np.zeros((4, 4))
        np.add.at(seen, (left, right), 1)
        np.testing.assert_allclose(seen, 1000 * (1 - np.eye(4)), atol=5 * np.sqrt(3000 * 2 / 9))

    @pytest.mark.parametrize(("per_class", "total"), [(6000, 119_980), (1000, 19_980)])
    def test_gives_the_numbers_of_the_lab_on_fashion_mnist(self, per_class, total):
        pairs, same = lab_pairs(np.tile(np.arange(10), per_class))
        assert len(pairs) == total
        assert same.sum() * 2 == total

    def test_is_reproducible(self):
        labels = np.tile(np.arange(4), 10)
        np.testing.assert_array_equal(lab_pairs(labels, 5)[0], lab_pairs(labels, 5)[0])
        assert (lab_pairs(labels, 5)[0] != lab_pairs(labels, 6)[0]).any()

    def test_names_the_class_with_a_single_item(self):
        with pytest.raises(ValueError, match=r"at least two items of each class.*'owl'"):
            lab_pairs(["cat", "cat", "owl"])


class TestExhaustivePairs:
    @given(st.lists(st.integers(0, 3), min_size=2, max_size=12), st.integers(1, 80))
    @settings(max_examples=80, deadline=None)
    def test_gives_all_pairs_once_in_order(self, labels, block_size):
        if len(set(labels)) < 2:
            labels = [*labels, 9]
        blocks = list(exhaustive_pairs(labels, block_size))
        assert all(len(i) == block_size for i, _, _ in blocks[:-1])
        assert all(0 < len(i) <= block_size for i, _, _ in blocks)
        received = [
            row for block in blocks for row in zip(*(v.tolist() for v in block), strict=True)
        ]
        count = len(labels)
        assert received == [
            (i, j, int(labels[i] == labels[j])) for i in range(count) for j in range(i + 1, count)
        ]

    def test_refuses_bad_arguments_before_it_is_iterated(self):
        with pytest.raises(ValueError, match="at least two classes"):
            exhaustive_pairs([1, 1])
        with pytest.raises(ValueError, match="block_size must be positive"):
            exhaustive_pairs([0, 1], block_size=0)
