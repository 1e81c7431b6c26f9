from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossmith.siamese.batches import ClassBatches, batch_shape
from lossmith.siamese.dealing import dealt

SIZES = st.lists(st.integers(1, 12), min_size=2, max_size=9).filter(lambda each: max(each) > 1)
"""Sizes of classes, from those of one item on; a few are made very large."""
DOMINANT = st.sampled_from([0, 0, 60])


def labels_of(sizes: list[int], dominant: int, seed: int) -> npt.NDArray[np.int64]:
    labels = np.repeat(np.arange(len(sizes)), [sizes[0] + dominant, *sizes[1:]])
    return np.random.default_rng(seed).permutation(labels)


def items(count: int) -> npt.NDArray[np.float32]:
    return np.arange(count, dtype=np.float32)[:, None]


@given(
    sizes=SIZES,
    dominant=DOMINANT,
    batch_size=st.integers(4, 40),
    group_size=st.integers(2, 5),
    paired=st.booleans(),
    seed=st.integers(0, 3),
)
def test_batches_are_p_classes_with_k_items_and_an_epoch_has_all_but_of_large_classes(
    sizes: list[int], dominant: int, batch_size: int, group_size: int, paired: bool, seed: int
) -> None:
    labels = labels_of(sizes, dominant, seed)
    data = ClassBatches(
        items(len(labels)), labels, batch_size, seed, group_size=group_size, paired=paired
    )
    per_batch, of_class = batch_shape(np.bincount(labels), batch_size, group_size, paired)
    assert 2 <= per_batch <= len(sizes)
    assert of_class >= 2
    assert per_batch * of_class <= max(batch_size, 4)
    assert data.indices.shape == (len(data), per_batch * of_class)
    times = np.bincount(data.indices.ravel(), minlength=len(labels))
    is_large = (np.bincount(labels) > len(data) * of_class)[labels]
    assert (times[~is_large] >= 1).all()
    assert (times[is_large] <= 1).all()
    for drawn in data.indices:
        assert np.isin(np.flatnonzero(np.bincount(labels[is_large])), labels[drawn]).all()
        assert list(Counter(labels[drawn].tolist()).values()) == [of_class] * per_batch
        for item, times in Counter(drawn.tolist()).items():
            size = np.count_nonzero(labels == labels[item])
            assert times <= -(-of_class // size)


@given(sizes=SIZES, dominant=DOMINANT, seed=st.integers(0, 3))
def test_an_epoch_is_as_long_as_its_largest_class_needs_but_not_longer_than_twice_the_items(
    sizes: list[int], dominant: int, seed: int
) -> None:
    labels = labels_of(sizes, dominant, seed)
    data = ClassBatches(items(len(labels)), labels, batch_size=8, seed=seed, group_size=2)
    per_batch, of_class = batch_shape(np.bincount(labels), 8, 2)
    groups = -(-np.bincount(labels) // of_class)
    filled = -(-groups.sum() // per_batch)
    assert len(data) == sorted([filled, groups.max(), 2 * filled])[1]
    needed = np.minimum(groups, len(data))
    turns = Counter(labels[data.indices.ravel()].tolist())
    drawn = np.array([turns[label] // of_class for label in range(len(groups))])
    # Only the smallest are drawn more often than they need, up to where others are.
    assert (drawn >= needed).all()
    assert drawn[drawn > needed].max(initial=0) <= drawn.min() + 1


@given(
    sizes=SIZES,
    dominant=st.integers(0, 300),
    batch_size=st.integers(4, 40),
    seed=st.integers(0, 3),
    first_deal=st.integers(0, 2),
)
def test_a_large_class_has_all_its_items_in_the_stated_number_of_epochs(
    sizes: list[int], dominant: int, batch_size: int, seed: int, first_deal: int
) -> None:
    labels = labels_of(sizes, dominant, seed)
    x = items(len(labels))
    first = ClassBatches(x, labels, batch_size, seed)
    per_batch, of_class = batch_shape(np.bincount(labels), batch_size)
    epochs = -(-int(np.bincount(labels).max()) // (len(first) * of_class))
    assert epochs <= -(-per_batch // 2)
    data = ClassBatches(x, labels, batch_size, seed, initial_epoch=first_deal * epochs)
    seen: set[int] = set()
    for _ in range(epochs):
        assert len(data) == len(first)
        assert set(labels[data.indices.ravel()].tolist()) == set(range(len(sizes)))
        seen |= set(data.indices.ravel().tolist())
        data.on_epoch_end()
    assert seen == set(range(len(labels)))


@pytest.mark.parametrize(
    ("sizes", "batches", "times_of_largest", "times_of_smallest", "epochs"),
    [
        ([500] * 10, 42, (1, 2), (1, 2), 1),
        ([600] * 5 + [400] * 5, 50, (1, 1), (1, 2), 1),
        ([9000, 1000], 141, (1, 2), (9, 10), 1),
        ([2000] * 3 + [5] * 40, 100, (0, 1), (57, 59), 5),
        ([2000] + [5] * 42, 38, (0, 1), (22, 24), 14),
        ([10_000] + [10] * 40, 164, (0, 1), (50, 52), 16),
    ],
)
def test_how_often_an_epoch_of_unequal_classes_has_each_item(
    sizes: list[int],
    batches: int,
    times_of_largest: tuple[int, int],
    times_of_smallest: tuple[int, int],
    epochs: int,
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    data = ClassBatches(items(len(labels)), labels)
    assert len(data) == batches
    times = np.bincount(data.indices.ravel(), minlength=len(labels))
    for size, (least, most) in ((max(sizes), times_of_largest), (min(sizes), times_of_smallest)):
        of_size = times[np.array(sizes)[labels] == size]
        assert least <= of_size.min()
        assert of_size.max() <= most
    total = times
    for _ in range(epochs - 1):
        assert total.min() == 0
        data.on_epoch_end()
        total = total + np.bincount(data.indices.ravel(), minlength=len(labels))
    assert total.min() >= 1


def test_a_large_class_comes_in_another_order_each_time_that_it_is_through() -> None:
    labels = np.repeat(np.arange(43), [2000] + [5] * 42)
    first = ClassBatches(items(len(labels)), labels)
    again = ClassBatches(items(len(labels)), labels, initial_epoch=14)
    drawn = [set(data.indices.ravel()) & set(range(2000)) for data in (first, again)]
    assert len(drawn[0]) == len(drawn[1]) == 38 * 4
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(
    ("sizes", "batch_size", "group_size", "shape"),
    [
        ([50] * 200, 32, 4, (8, 4)),
        ([5000] * 10, 128, 4, (10, 12)),
        ([10_000] + [10] * 40, 128, 4, (32, 4)),
        ([1000, 5, 5], 128, 4, (3, 5)),
        ([2, 1], 128, 4, (2, 2)),
        ([30, 30], 4, 4, (2, 2)),
        ([50] * 200, 33, 4, (8, 4)),
    ],
)
def test_how_many_classes_and_items_a_batch_has(
    sizes: list[int], batch_size: int, group_size: int, shape: tuple[int, int]
) -> None:
    assert batch_shape(np.array(sizes), batch_size, group_size) == shape


@given(sizes=SIZES, seed=st.integers(0, 100))
def test_items_come_with_the_ids_of_their_classes(sizes: list[int], seed: int) -> None:
    names = np.array([f"class {n % 7}" for n in labels_of(sizes, 0, seed)])
    data = ClassBatches(items(len(names)), names, batch_size=4, seed=seed)
    codes = np.unique(names, return_inverse=True)[1]
    assert data.class_ids.tolist() == codes.tolist()
    for index in range(len(data)):
        batch, class_ids = data[index]
        assert class_ids.dtype == np.int32
        assert class_ids.tolist() == codes[batch[:, 0].astype(int)].tolist()


def test_pairs_of_a_class_have_one_id() -> None:
    labels = np.repeat(np.arange(6), [7, 7, 7, 7, 7, 1])
    data = ClassBatches(items(len(labels)), labels, batch_size=10, group_size=3, paired=True)
    for index in range(len(data)):
        pairs, class_ids = data[index]
        assert pairs.shape == (len(class_ids), 2, 1)
        assert (labels[pairs[..., 0].astype(int)] == class_ids[:, None]).all()


def test_every_epoch_has_other_batches() -> None:
    data = ClassBatches(items(40), [0, 1] * 20, batch_size=8)
    first = data.indices
    data.on_epoch_end()
    assert not np.array_equal(np.sort(first), np.sort(data.indices))
    assert set(data.indices.ravel().tolist()) == set(range(40))


@given(
    cards=st.integers(1, 12),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    seed=st.integers(0, 9),
)
def test_a_hand_has_no_card_twice_and_all_are_dealt_alike(
    cards: int, shares: list[float], seed: int
) -> None:
    hands = np.array([round(share * cards) for share in shares])
    drawn = dealt(cards, hands, np.random.default_rng(seed))
    assert len(drawn) == hands.sum()
    for hand in np.split(drawn, np.cumsum(hands)[:-1]):
        assert len(set(hand.tolist())) == len(hand)
    times = np.bincount(drawn, minlength=cards)
    assert times.max() - times.min() <= 1


@pytest.mark.parametrize("sizes", [[20, 20], [2000] + [5] * 42])
def test_going_on_at_an_epoch_gives_what_would_have_come(sizes: list[int]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    x = items(len(labels))
    whole = ClassBatches(x, labels, seed=5)
    whole.on_epoch_end()
    whole.on_epoch_end()
    later = ClassBatches(x, labels, seed=5, initial_epoch=2)
    assert np.array_equal(whole.indices, later.indices)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0, 1, 0], {}, "one entry per item"),
        ([0, 1, 2, 3], {}, "a class with two items"),
        ([0, 0, 0, 0], {}, "at least two classes"),
        ([0, 1, 0, 1], {"batch_size": 3}, "batch_size must be at least 4"),
        ([0, 1, 0, 1], {"group_size": 1}, "group_size must be at least 2"),
        ([0, 1, 0, 1], {"seed": -1}, "seed must be a non-negative integer"),
    ],
)
def test_what_makes_no_batches_is_refused(
    labels: list[int], options: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ClassBatches(items(4), labels, **options)


def test_a_list_of_items_is_refused():
    with pytest.raises(TypeError, match=r"np\.asarray\(x\)"):
        ClassBatches([[0.0], [1.0], [2.0], [3.0]], labels=[0, 0, 1, 1], batch_size=4)
