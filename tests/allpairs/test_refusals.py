"""What losses over all pairs refuse: the error names what came and says what to do."""

import numpy as np
import pytest
from gradients import compiled, to_numpy, value_and_gradient
from keras import ops

import lossmith as ls
from lossmith.allpairs import AllPairsLoss, MeanPositiveDistance

RNG = np.random.default_rng(31)
EMBEDDINGS = RNG.normal(size=(6, 4)).astype("float32")
IDS = np.arange(6) % 3


def test_a_measure_that_there_is_not():
    with pytest.raises(ValueError, match=r"Far: `measure`.*'dot'.*'cosine'; got 'manhattan'"):

        class Far(AllPairsLoss):
            measure = "manhattan"


class Computed(AllPairsLoss):
    """A loss whose measure is a property."""

    by: str = "euclidean"

    @property
    def measure(self):
        return self.by

    def anchors(self, block, row):
        return row.positives.sum(block), row.positives.count()


def test_a_measure_that_is_computed():
    assert Computed(by="cosine").measure == "cosine"
    with pytest.raises(ValueError, match=r"computed: `measure` must be one of.*got 'manhattan'"):
        Computed(by="manhattan")


WEIGHTS = np.array([1, 2, -1, 1, 0, 1], "float32")
REFERENCES = RNG.normal(size=(5, 4)).astype("float32")
REFERENCE_IDS = np.arange(5) % 3
BELOW_0 = r"nt_xent: weights must be 0 or more; got -1 in weights of shape \(6,\), float32"


def test_weights_below_0():
    loss = ls.losses.nt_xent
    with pytest.raises(ValueError, match=BELOW_0):
        loss(IDS, EMBEDDINGS, WEIGHTS)
    with pytest.raises(ValueError, match=BELOW_0):
        loss.against(IDS, EMBEDDINGS, REFERENCES, REFERENCE_IDS, WEIGHTS)
    with pytest.raises(ValueError, match="weights must be 0 or more; got -1"):
        loss.against(REFERENCE_IDS, REFERENCES, EMBEDDINGS, IDS, None, WEIGHTS)
    masked = loss(IDS, EMBEDDINGS, WEIGHTS, mask=WEIGHTS >= 0)
    assert to_numpy(masked) == to_numpy(loss(IDS, EMBEDDINGS, np.maximum(WEIGHTS, 0)))


@pytest.mark.parametrize("value", [2, -1])
@pytest.mark.parametrize("name", ["nt_xent", "clip"])
def test_labels_that_are_not_0_or_1(name, value):
    loss = getattr(ls.losses, name)
    views = EMBEDDINGS if name == "nt_xent" else np.stack([EMBEDDINGS, EMBEDDINGS[::-1]], axis=1)
    labels = np.eye(3, dtype="int32")[IDS]
    labels[1, 2] = value
    message = rf"{name}: labels \(N, L\) are 0 or 1 .* L = 3 labels; got {value} in labels of .*ids"
    with pytest.raises(ValueError, match=message):
        loss(labels, views)
    out = np.ones(6, "float32")
    out[1] = 0
    assert np.isfinite(to_numpy(loss(labels, views, out)))


def test_ids_in_columns_are_no_labels():
    columns = np.stack([IDS + 10 * k for k in range(3)], axis=1)
    with pytest.raises(ValueError, match=r"got 2, 10, 11, 12, 20, \.\.\. in labels of shape"):
        ls.losses.triplet(columns, EMBEDDINGS)


NO_IDS = {
    "too large": ([2**70, 1, 2, 3, 4], r"from 1 to 1180591620717411303424, .* fit int\d\d: number"),
    "floating": ([0.5, 1, 2, 3, 4], r"integer class ids; got float32 of shape \(5,\)\. Cast it"),
    "names": (list("abcde"), "must hold numbers; got 'a'. Names of classes become ids with"),
    "ragged": ([[1, 2], [3], [4], [5], [6]], r"is a list whose rows differ in length or kind"),
    "structures": ([{"a": 1}] * 5, r"is a list whose rows differ in length or kind"),
    "too few": ([1, 2, 3, 4], r"has shape \(4,\); .* one label per item, shape \(5,\)"),
}


@pytest.mark.parametrize(("ids", "message"), NO_IDS.values(), ids=NO_IDS)
def test_lists_that_are_no_ids(ids, message):
    loss = ls.losses.nt_xent
    with pytest.raises((TypeError, ValueError), match=f"nt_xent: y_true .*{message}") as of_a_call:
        loss(ids, REFERENCES)
    with pytest.raises((TypeError, ValueError), match=message) as of_anchors:
        loss.against(ids, REFERENCES, EMBEDDINGS, IDS)
    of_references = (
        rf"{message}(?s:.*)This is of the references: y_true stands for reference_labels"
    )
    with pytest.raises((TypeError, ValueError), match=of_references) as found:
        loss.against(IDS, EMBEDDINGS, REFERENCES, ids)
    assert str(of_a_call.value) == str(of_anchors.value) == str(found.value)


def test_lists_of_large_ids(backend):
    """JAX holds 32 bits; PyTorch and TensorFlow hold these, and tell them apart."""
    large = [2**40, 1, 2**41, 2**40, 1, 2]
    if backend == "jax":
        with pytest.raises(ValueError, match="ids from 1 to 2199023255552, which do not fit int32"):
            ls.losses.nt_xent(large, EMBEDDINGS)
    else:
        expected = to_numpy(ls.losses.nt_xent([3, 1, 4, 3, 1, 2], EMBEDDINGS))
        assert to_numpy(ls.losses.nt_xent(large, EMBEDDINGS)) == expected


def test_references_of_another_length():
    message = r"references of shape \(5, 3\), float32 and y_pred of shape \(6, 4\), float32"
    with pytest.raises(ValueError, match=message):
        ls.losses.nt_xent.against(IDS, EMBEDDINGS, REFERENCES[:, :3], REFERENCE_IDS)


def test_references_of_another_kind_of_labels():
    labels = np.eye(3, dtype="int32")
    against = ls.losses.nt_xent.against
    with pytest.raises(ValueError, match="got 3 labels for references and class ids in y_true"):
        against(IDS, EMBEDDINGS, REFERENCES, labels[REFERENCE_IDS])
    with pytest.raises(ValueError, match="got 2 labels for references and 3 labels in y_true"):
        against(labels[IDS], EMBEDDINGS, REFERENCES, labels[REFERENCE_IDS, :2])


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32")])
def test_references_of_another_dtype(dtypes):
    of_anchors, of_references = dtypes
    weights = np.arange(5, dtype=of_references)
    anchors, references = EMBEDDINGS.astype(of_anchors), REFERENCES.astype(of_references)
    against = ls.losses.supervised_contrastive.against
    value = against(IDS, anchors, references, REFERENCE_IDS, None, weights)
    expected = against(IDS, EMBEDDINGS, REFERENCES, REFERENCE_IDS, None, weights.astype("float32"))
    assert value.dtype == ops.convert_to_tensor(anchors).dtype
    assert to_numpy(value) == pytest.approx(to_numpy(expected), rel=1e-5)


class TheBlock(AllPairsLoss):
    """Forgets to reduce, and to count."""

    def anchors(self, block, row):
        return block


class Unreduced(AllPairsLoss):
    """Forgets to reduce."""

    def anchors(self, block, row):
        return row.positives.entries(block), row.positives.count()


class Reduced(AllPairsLoss):
    """Reduces too much."""

    def anchors(self, block, row):
        return ops.sum(row.positives.sum(block)), 1.0


@pytest.mark.parametrize(
    ("loss", "came"),
    [
        (TheBlock(), r"shape \(6, 6\), float32"),
        (Unreduced(), r"a tuple of 2: shape \(6, 6\), float32; shape \(6,\), float32"),
        (Reduced(), r"a tuple of 2: shape \(\), float32; 1\.0"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("way", ["value", "gradient", "compiled"])
def test_what_anchors_must_return(loss, came, way):
    ids, embeddings = ops.convert_to_tensor(IDS), ops.convert_to_tensor(EMBEDDINGS)
    call = {
        "value": lambda: loss(ids, embeddings),
        "gradient": lambda: value_and_gradient(lambda p: loss(ids, p), EMBEDDINGS),
        "compiled": lambda: compiled(loss)(ids, embeddings),
    }[way]
    message = rf"`anchors` must return two tensors \(anchors,\): values and counts.*; got {came}"
    with pytest.raises(ValueError, match=f"{type(loss).__name__}: {message}"):
        call()


CLIP = ls.losses.clip


@pytest.mark.parametrize("loss", [CLIP, 0.7 * CLIP, 0.7 * CLIP + ls.losses.nt_xent], ids=repr)
def test_two_views_that_are_not_stacked(loss):
    with pytest.raises(TypeError, match=r"two are \(N, 2, D\), keras.ops.stack\(\[first"):
        loss(IDS, (EMBEDDINGS, EMBEDDINGS))
    stack = r"clip: y_pred has shape \(6, 4\); .* two views .* of both encoders along axis 1"
    with pytest.raises(ValueError, match=stack):
        loss(IDS, EMBEDDINGS)


def test_no_labels():
    with pytest.raises(TypeError, match=r"nt_xent: y_true is None.*np\.arange\(N\)"):
        ls.losses.nt_xent(None, np.stack([EMBEDDINGS, EMBEDDINGS], axis=1))


def test_labels_of_floating_point():
    with pytest.raises(TypeError, match=r"got float32\. Cast it to an integer.*argmax"):
        ls.losses.nt_xent(np.eye(3, dtype="float32")[IDS], EMBEDDINGS)


def test_weights_of_another_length():
    with pytest.raises(ValueError, match=r"one weight per sample, \(6,\) or \(6, 1\)\.$"):
        ls.losses.nt_xent(IDS, EMBEDDINGS, np.ones(5, "float32"))


def test_a_metric_of_a_distance_that_there_is_not():
    with pytest.raises(ValueError, match=r"MeanPositiveDistance: distance.*got 'manhattan'"):
        MeanPositiveDistance(distance="manhattan")
    with pytest.raises(ValueError, match="mean_positive_distance: y_pred has shape"):
        MeanPositiveDistance().update_state(IDS, EMBEDDINGS[:, 0])


def test_a_margin_out_of_reach_names_its_loss():
    with pytest.raises(ValueError, match="all_pairs_contrastive: margin 3 can never be reached"):
        ls.losses.all_pairs_contrastive(margin=3.0, distance="cosine")
