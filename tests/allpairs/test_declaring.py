"""What a user's loss over all pairs may declare: arrays, and nothing that is learned."""

import numpy as np
import pytest
from gradients import compiled, to_numpy, value_and_gradient
from keras import ops

import lossmith as ls
from lossmith.allpairs import ActivePairs, AllPairsLoss

RNG = np.random.default_rng(29)
EMBEDDINGS = RNG.normal(size=(7, 4)).astype("float32")
IDS = np.arange(7) % 3


class SeveralScales(AllPairsLoss):
    """A soft hinge at each of several scales, which are methods of tensors only."""

    scales: ls.Array = (1.0, 4.0)

    def anchors(self, block, row):
        total = ops.zeros_like(block[:, 0])
        for scale in ops.unstack(self.scales):
            total = total + row.negatives.logsumexp(ops.multiply(scale, block))
        # NumPy's array would be computed with here, and its float64 handed on.
        return total * (self.scales + block[:1, 0])[0], row.positives.any()


class OneScale(AllPairsLoss):
    """The same with numbers."""

    def anchors(self, block, row):
        logsumexp = row.negatives.logsumexp
        return (logsumexp(block) + logsumexp(4.0 * block)) * (1.0 + block[0, 0]), (
            row.positives.any()
        )


SEEN = []


class Seeing(SeveralScales):
    """Notes whether the array is a tensor."""

    def anchors(self, block, row):
        SEEN.append(ops.is_tensor(self.scales) and self.scales.dtype == block.dtype)
        return super().anchors(block, row)


def test_arrays_are_tensors_in_the_formula_of_an_anchor():
    SEEN.clear()
    ids, embeddings = ops.convert_to_tensor(IDS), ops.convert_to_tensor(EMBEDDINGS)
    value_and_gradient(lambda p: Seeing()(ids, p), EMBEDDINGS)
    compiled(Seeing())(ids, embeddings)
    Seeing().against(ids, embeddings, embeddings, ids)
    ActivePairs(Seeing()).update_state(ids, embeddings)
    assert len(SEEN) >= 4
    assert all(SEEN)


def test_arrays_give_the_values_of_numbers():
    ids, embeddings = ops.convert_to_tensor(IDS), ops.convert_to_tensor(EMBEDDINGS)
    expected = value_and_gradient(lambda p: OneScale()(ids, p), EMBEDDINGS)
    step = compiled(SeveralScales())
    for function in (SeveralScales(), step):
        value, gradient = value_and_gradient(lambda p, f=function: f(ids, p), EMBEDDINGS)
        np.testing.assert_allclose(value, expected[0], rtol=1e-5)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-6)
    other = to_numpy(SeveralScales(scales=[1.0, 2.0])(ids, embeddings))
    assert other != pytest.approx(expected[0], rel=1e-3)


def test_a_loss_over_all_pairs_declares_nothing_learnable():
    with pytest.raises(TypeError, match="no gradient in its hyperparameters: schedule or sweep"):

        class Learning(AllPairsLoss):
            learnable = ("scale",)
            scale: ls.Positive = 1.0


@pytest.mark.parametrize(
    ("loss", "name"), [(ls.losses.clip, "temperature"), (ls.losses.triplet, "margin")], ids=repr
)
def test_the_reason_why_nothing_is_learned(loss, name):
    with pytest.raises(TypeError) as refused:
        loss(**{name: ls.learned(0.07)})
    message = str(refused.value)
    assert f"`{name}` cannot be learned, since its gradient is taken in the embeddings" in message
    assert "lossmith.schedule" in message
    assert "makes all errors cheap" not in message


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "loss",
    [
        ls.losses.nt_xent,
        ls.losses.all_pairs_contrastive,
        ls.losses.triplet(mining="hardest", margin=1.0),
    ],
    ids=repr,
)
def test_a_formula_that_replaces_another_has_its_own_slope(loss):
    class Doubled(type(loss)):
        def anchors(self, block, row):
            values, counts = super().anchors(block, row)
            return 2.0 * values, counts

    doubled = Doubled(**loss.hyperparameters)
    expected = value_and_gradient(lambda p: loss(IDS, p), EMBEDDINGS)
    value, gradient = value_and_gradient(lambda p: doubled(IDS, p), EMBEDDINGS)
    np.testing.assert_allclose(value, 2.0 * expected[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, 2.0 * expected[1], rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "loss", [ls.losses.nt_xent, ls.losses.triplet(mining="hardest", margin=1.0)], ids=repr
)
def test_a_sum_in_the_place_of_an_average(loss):
    class Summed(type(loss)):
        averaged = False

        def anchors(self, block, row):
            return super().anchors(block, row)

    class InTiles(type(loss)):
        averaged = False

    by_rows, tiles = (each(**loss.hyperparameters) for each in (Summed, InTiles))
    expected = value_and_gradient(lambda p: by_rows(IDS, p), EMBEDDINGS)
    value, gradient = value_and_gradient(lambda p: tiles(IDS, p), EMBEDDINGS)
    np.testing.assert_allclose(value, expected[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-6)
