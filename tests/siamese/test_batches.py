from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossmith.siamese.batches import ClassBatches

LABELS = st.lists(st.integers(0, 5), min_size=4, max_size=60).filter(
    lambda labels: 1 < len(set(labels)) < len(labels)
)


def items(count: int) -> npt.NDArray[np.float32]:
    return np.arange(count, dtype=np.float32)[:, None]


@given(labels=LABELS, batch_size=st.integers(2, 20), group_size=st.integers(2, 5))
def test_an_epoch_has_every_item_once_but_for_the_rest(
    labels: list[int], batch_size: int, group_size: int
) -> None:
    data = ClassBatches(items(len(labels)), labels, batch_size, group_size=group_size)
    size = min(batch_size, len(labels))
    assert len(data) == len(labels) // size
    drawn = data.indices.ravel().tolist()
    assert len(drawn) == len(set(drawn)) == len(data) * size


@given(labels=LABELS, seed=st.integers(0, 100))
def test_items_come_with_the_ids_of_their_classes(labels: list[int], seed: int) -> None:
    data = ClassBatches(items(len(labels)), labels, batch_size=4, seed=seed)
    codes = np.unique(labels, return_inverse=True)[1]
    for index in range(len(data)):
        batch, class_ids = data[index]
        assert class_ids.dtype == np.int32
        assert class_ids.tolist() == codes[batch[:, 0].astype(int)].tolist()


def test_a_batch_holds_several_items_of_each_class_even_of_many() -> None:
    labels = np.repeat(np.arange(200), 8)
    data = ClassBatches(items(len(labels)), labels, batch_size=32, group_size=4)
    for index in range(len(data)):
        assert min(Counter(data[index][1].tolist()).values()) == 4


def test_every_item_has_its_turn() -> None:
    data = ClassBatches(items(10), [0, 1] * 5, batch_size=4, group_size=2)
    seen = set(data.indices.ravel().tolist())
    for _ in range(10):
        data.on_epoch_end()
        seen |= set(data.indices.ravel().tolist())
    assert seen == set(range(10))


def test_going_on_at_an_epoch_gives_what_would_have_come() -> None:
    whole = ClassBatches(items(40), [0, 1] * 20, batch_size=8, seed=5)
    whole.on_epoch_end()
    whole.on_epoch_end()
    later = ClassBatches(items(40), [0, 1] * 20, batch_size=8, seed=5, initial_epoch=2)
    assert np.array_equal(whole.indices, later.indices)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0, 1, 0], {}, "one entry per item"),
        ([0, 1, 2, 3], {}, "a class with two items"),
        ([0, 0, 0, 0], {}, "at least two classes"),
        ([0, 1, 0, 1], {"batch_size": 1}, "batch_size must be at least 2"),
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
        ClassBatches([[0.0], [1.0], [2.0], [3.0]], labels=[0, 0, 1, 1], batch_size=2)
