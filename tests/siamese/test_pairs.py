"""Pair data sets: what an epoch holds, reproducibility, errors, and use by Keras."""

import pickle

import keras
import numpy as np
import pytest

from lossmith.siamese.pair_sampling import balanced_pairs
from lossmith.siamese.pairs import AlignedPairs, LabelPairs, ReadyPairs


class LazyItems:
    """A reader that makes items when asked, and remembers how many it made at once."""

    def __init__(self, count):
        self.count = count
        self.largest_request = 0

    def __len__(self):
        return self.count

    def __getitem__(self, indices):
        self.largest_request = max(self.largest_request, len(indices))
        return np.stack([np.full((2, 2), i, dtype=np.uint8) for i in indices])


def items_of(data):
    """All pairs that a data set gives out, as (left, right, label), for items equal to indices."""
    rows = []
    for (a, b), label in data:
        rows += zip(a.tolist(), b.tolist(), label.tolist(), strict=True)
    return rows


class TestLabelPairs:
    labels = np.repeat(np.arange(4), 5)
    x = np.arange(20)

    def test_gives_out_the_balanced_pairs_of_its_epoch(self):
        data = LabelPairs(self.x, self.labels, batch_size=7, seed=4)
        assert len(data) == 6
        for epoch in range(3):
            pairs, same = balanced_pairs(self.labels, seed=4, epoch=epoch)
            expected = [(*pair, label) for pair, label in zip(pairs.tolist(), same, strict=True)]
            assert data.epoch == epoch
            assert items_of(data) == expected
            np.testing.assert_array_equal(data.pairs, pairs)
            np.testing.assert_array_equal(data.pair_labels, same)
            data.on_epoch_end()

    def test_a_training_that_goes_on_gets_the_pairs_it_would_have_got(self):
        through = LabelPairs(self.x, self.labels)
        through.on_epoch_end()
        through.on_epoch_end()
        assert items_of(LabelPairs(self.x, self.labels, initial_epoch=2)) == items_of(through)

    def test_batches_do_not_depend_on_the_order_or_the_process_that_asks(self):
        data = LabelPairs(self.x, self.labels, batch_size=8)
        copy = pickle.loads(pickle.dumps(data))
        forwards = [data[k] for k in range(len(data))]
        backwards = [copy[k] for k in reversed(range(len(copy)))][::-1]
        for one, other in zip(forwards, backwards, strict=True):
            np.testing.assert_array_equal(one[0][0], other[0][0])
            np.testing.assert_array_equal(one[0][1], other[0][1])
            np.testing.assert_array_equal(one[1], other[1])

    def test_reads_lazy_items_batch_by_batch(self):
        x = LazyItems(20)
        data = LabelPairs(x, self.labels, batch_size=6)
        (a, b), same = data[1]
        assert a.shape == b.shape == (6, 2, 2)
        assert a.dtype == np.uint8
        assert same.dtype == np.float32
        np.testing.assert_array_equal(a[:, 0, 0], data.pairs[6:12, 0])
        np.testing.assert_array_equal(b[:, 0, 0], data.pairs[6:12, 1])
        assert x.largest_request == 6

    def test_warns_once_of_single_items(self, recwarn):
        data = LabelPairs(np.arange(5), [0, 0, 1, 1, 2])
        data.on_epoch_end()
        assert len(recwarn) == 1

    def test_refuses_what_does_not_fit_together(self):
        with pytest.raises(ValueError, match="20 items and 4 labels"):
            LabelPairs(self.x, [0, 0, 1, 1])
        with pytest.raises(ValueError, match="batch_size must be positive"):
            LabelPairs(self.x, self.labels, batch_size=0)
        with pytest.raises(TypeError, match=r"Received: list.*np\.asarray\(x\)"):
            LabelPairs([1, 2, 3, 4], [0, 0, 1, 1])
        with pytest.raises(TypeError, match="dtype object"):
            LabelPairs(np.array([[1], [2, 3], [4], [5]], dtype=object), [0, 0, 1, 1])

    def test_an_index_beyond_the_last_batch_is_an_error(self):
        data = LabelPairs(self.x, self.labels, batch_size=8)
        with pytest.raises(IndexError, match=r"There are 5 batches\. Received: index 5"):
            data[5]


class TestReadyPairs:
    x = np.arange(6)
    pairs = ((0, 1), (2, 5), (3, 3), (4, 0), (5, 1))
    labels = (1, 0, 1, 0, 0)
    rows = tuple((*pair, label) for pair, label in zip(pairs, labels, strict=True))

    def test_gives_the_pairs_in_their_order_each_epoch(self):
        data = ReadyPairs(self.x, self.pairs, self.labels, batch_size=2)
        assert len(data) == 3
        for _ in range(2):
            assert tuple(items_of(data)) == self.rows
            data.on_epoch_end()

    def test_shuffles_anew_each_epoch_and_reproducibly(self):
        data, again = (
            ReadyPairs(self.x, self.pairs, self.labels, batch_size=2, shuffle=True, seed=1)
            for _ in range(2)
        )
        orders = set()
        for _ in range(6):
            assert sorted(items_of(data)) == sorted(self.rows)
            assert items_of(data) == items_of(again)
            orders.add(tuple(items_of(data)))
            data.on_epoch_end()
            again.on_epoch_end()
        assert len(orders) > 3

    def test_takes_a_column_of_labels(self):
        data = ReadyPairs(self.x, self.pairs, np.array(self.labels)[:, None])
        assert tuple(items_of(data)) == self.rows

    @pytest.mark.parametrize(
        ("pairs", "labels", "message"),
        [
            ([[0, 1], [1, 2]], [1, 2], "1 .same. or 0 .different.*Received: 2 at position 1"),
            ([[0, 1], [1, 2]], [0.5, 1], "Received: 0.5 at position 0"),
            ([[0, 1], [1, 2]], [1, float("nan")], "Received: nan at position 1"),
            ([[0, 1], [1, 2]], ["1", "0"], "labels must be real numbers"),
            ([[0, 1], [1, 2]], [1], "1 labels and 2 pairs"),
            ([[0, 1], [1, 6]], [1, 0], r"from 0 to 5.*\[1, 6\] at position 1"),
            ([[0, -1], [1, 2]], [1, 0], r"\[0, -1\] at position 0"),
            ([[0.0, 1.0]], [1], r"integers of shape \(P, 2\).*float64"),
            ([0, 1], [1], r"shape \(P, 2\).*shape \(2,\)"),
            (np.empty((0, 2), dtype=int), [], "no pairs"),
        ],
    )
    def test_refuses_what_is_no_pair(self, pairs, labels, message):
        with pytest.raises(ValueError, match=message):
            ReadyPairs(self.x, pairs, labels)


class TestAlignedPairs:
    left, right = np.arange(5), np.arange(5) + 10
    labels = (1, 0, 1, 0, 0)
    rows = tuple(zip(range(5), range(10, 15), labels, strict=True))

    def test_pairs_row_by_row(self):
        data = AlignedPairs(self.left, self.right, self.labels, batch_size=2)
        assert len(data) == 3
        assert tuple(items_of(data)) == self.rows

    def test_shuffles_both_sides_alike(self):
        data = AlignedPairs(self.left, self.right, self.labels, shuffle=True)
        assert tuple(items_of(data)) != self.rows
        assert sorted(items_of(data)) == sorted(self.rows)

    def test_refuses_what_does_not_fit_together(self):
        with pytest.raises(ValueError, match="Received: 5 and 4 items"):
            AlignedPairs(self.left, self.right[:4], self.labels)
        with pytest.raises(ValueError, match="4 labels and 5 pairs"):
            AlignedPairs(self.left, self.right, self.labels[:4])
        with pytest.raises(TypeError, match=r"right must be an array.*np\.asarray\(right\)"):
            AlignedPairs(self.left, list(self.right), self.labels)


class TestWithKeras:
    """`fit`, `evaluate` and `predict` on the current backend."""

    @staticmethod
    def twin():
        """A pair's distance in the first coordinate, times a weight that starts at 1."""
        a, b = keras.Input((2,)), keras.Input((2,))
        encode = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)
        difference = keras.layers.Subtract()([encode(a), encode(b)])
        return keras.Model([a, b], keras.layers.Lambda(abs)(difference))

    @pytest.mark.parametrize("workers", [1, 2])
    def test_fit_trains_on_balanced_pairs(self, workers):
        rng = np.random.default_rng(0)
        labels = np.repeat([0, 1], 20)
        x = np.stack([labels, rng.normal(size=40)], axis=1).astype("float32")
        validation = ReadyPairs(x, *balanced_pairs(labels))
        model = self.twin()

        def contrastive(y_true, y_pred):
            far = keras.ops.relu(1.0 - y_pred)
            return y_true * keras.ops.square(y_pred) + (1 - y_true) * keras.ops.square(far)

        model.compile(keras.optimizers.Adam(0.1), contrastive)
        before = model.evaluate(validation, verbose=0)
        model.fit(LabelPairs(x, labels, batch_size=12, workers=workers), epochs=4, verbose=0)
        assert model.evaluate(validation, verbose=0) < 0.3 * before

    def test_a_fit_that_goes_on_has_the_pairs_of_one_that_went_through(self):
        model = self.twin()
        model.compile("sgd", "mse")
        x, labels = np.ones((6, 2), dtype="float32"), [0, 0, 0, 1, 1, 1]

        def epochs_of_pairs(**fit_arguments):
            data = LabelPairs(x, labels, initial_epoch=fit_arguments.get("initial_epoch", 0))
            seen = []
            record = keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: seen.append((epoch, data.epoch))
            )
            model.fit(data, callbacks=[record], verbose=0, **fit_arguments)
            return seen

        through = epochs_of_pairs(epochs=4)
        assert through == [(0, 1), (1, 2), (2, 3), (3, 4)]
        assert epochs_of_pairs(epochs=2) + epochs_of_pairs(initial_epoch=2, epochs=4) == through

    def test_predict_keeps_the_order_of_ready_pairs(self):
        x = np.array([[0.0, 0.0], [1.0, 1.0], [5.0, 0.0]], dtype="float32")
        data = ReadyPairs(x, [[0, 1], [1, 2], [0, 2], [2, 2]], [1, 0, 0, 1], batch_size=3)
        distances = self.twin().predict(data, verbose=0)
        np.testing.assert_allclose(distances[:, 0], [2, 3, 5, 0], rtol=1e-6)
