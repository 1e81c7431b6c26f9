"""Distances against SciPy, exact at equal inputs, with gradients that are finite everywhere."""

import copy
import pickle

import keras
import numpy as np
import pytest
from gradients import SHAPE_ERRORS, compiled, open_shapes, to_numpy, value_and_gradient
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import ops
from scipy.spatial.distance import cdist

from lossmith import distances

SCIPY = {"euclidean": "euclidean", "squared_euclidean": "sqeuclidean", "manhattan": "cityblock",
         "cosine": "cosine"}  # fmt: skip
NAMES = list(SCIPY)
RNG = np.random.default_rng(1)
A = RNG.normal(size=(6, 4)).astype("float32")
B = RNG.normal(size=(5, 4)).astype("float32")
VECTORS = arrays.arrays("float32", (2, 3), elements=st.floats(-100, 100, width=32))


@pytest.mark.parametrize("name", NAMES)
def test_against_scipy(name):
    distance = distances.get(name)
    expected = cdist(A.astype(float), B.astype(float), SCIPY[name])
    np.testing.assert_allclose(to_numpy(distance.pairwise(A, B)), expected, rtol=1e-5)
    np.testing.assert_allclose(to_numpy(distance(A[:5], B)), np.diag(expected[:5]), rtol=1e-5)
    own = cdist(A.astype(float), A.astype(float), SCIPY[name])
    np.testing.assert_allclose(to_numpy(distance.pairwise(A)), own, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_exactly_zero_and_finite_at_equal_inputs(name, dtype):
    a = ops.cast(A * 30, dtype)
    value, gradient = value_and_gradient(lambda x: distances.get(name)(x, a), a)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(A))
    diagonal = np.diag(to_numpy(distances.get(name).pairwise(a)))
    np.testing.assert_array_equal(diagonal, np.zeros(6))


@pytest.mark.parametrize("name", NAMES)
def test_all_pairs_have_a_finite_gradient(name):
    a = np.concatenate([A, A[:2], np.zeros((2, 4), "float32")])
    gradient = value_and_gradient(distances.get(name).pairwise, a)[1]
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_computed_in_float32(name, dtype):
    a, b = ops.cast(A[:5] * 200, dtype), ops.cast(B * 200, dtype)
    exact = distances.get(name)(ops.cast(a, "float32"), ops.cast(b, "float32"))
    value = distances.get(name)(a, b)
    assert keras.backend.standardize_dtype(value.dtype) == dtype
    np.testing.assert_array_equal(to_numpy(value), to_numpy(ops.cast(exact, dtype)))


@given(VECTORS)
def test_symmetric_within_the_range(pair):
    for name in NAMES:
        distance = distances.get(name)
        there, back = (float(distance(*each)) for each in (pair, pair[::-1]))
        assert there == pytest.approx(back, rel=1e-5, abs=1e-30)
        assert 0 <= there <= distance.upper * (1 + 1e-6)


@given(VECTORS)
def test_gradients_are_finite(pair):
    for name in NAMES:
        gradient = value_and_gradient(lambda x, n=name: distances.get(n)(x[:1], x[1:]), pair)[1]
        assert np.isfinite(gradient).all(), name


@pytest.mark.parametrize("scale", [1e-25, 1e-18, 1.0, 1e18, 1e25])
def test_the_cosine_distance_does_not_depend_on_the_length(scale):
    value = distances.cosine(A[:5] * np.float32(scale), B)
    np.testing.assert_allclose(to_numpy(value), to_numpy(distances.cosine(A[:5], B)), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_distance_is_compiled_whole(name):
    tensors = ops.convert_to_tensor(A[:5]), ops.convert_to_tensor(B)
    value = compiled(distances.get(name))(*tensors)
    np.testing.assert_allclose(to_numpy(value), to_numpy(distances.get(name)(A[:5], B)), rtol=1e-6)


@pytest.mark.parametrize("length", [1e-45, 1e-40, 1e-37])
def test_the_cosine_distance_of_tiny_vectors_has_a_finite_gradient(length):
    tiny = np.float32(length) * np.sign(A[:5])
    value, gradient = value_and_gradient(lambda x: distances.cosine(x, B), tiny)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_zero_vectors():
    zero = np.zeros((1, 4), "float32")
    assert float(distances.cosine(zero, A[:1])[0]) == 1
    assert float(distances.cosine(zero, zero)[0]) == 0


@pytest.mark.parametrize(
    ("name", "upper"),
    [("euclidean", 2), ("squared_euclidean", 4), ("manhattan", 2 * np.sqrt(3)), ("cosine", 2)],
)
def test_the_reach_on_the_sphere(name, upper):
    distance = distances.get(name)
    far = np.ones((1, 3), "float32") / np.sqrt(np.float32(3))
    assert float(distance(far, -far)[0]) == pytest.approx(upper, rel=1e-6)
    distance.check_margin(upper, unit_length=3)
    with pytest.raises(ValueError, match=f"the {name} distance of two vectors of length 1"):
        distance.check_margin(upper * 1.01, unit_length=3)


def test_margins_without_a_bound():
    distances.euclidean.check_margin(1e9)
    with pytest.raises(ValueError, match=r"^margin 2\.5 can never .* at most 2"):
        distances.cosine.check_margin(2.5)


def test_what_is_refused():
    for a, b in ((A, A[:, :3]), (A, A[:1]), (A, A[0]), (A[:, None], A[None]), (A[0, 0], A[0, 0])):
        with pytest.raises(ValueError, match="of one shape") as refused:
            distances.euclidean(a, b)
        assert f"got shapes {a.shape} and {b.shape}" in str(refused.value)
    for a, b in ((A, A[:, :3]), (A[0], A[0]), (A[None], A[None])):
        with pytest.raises(ValueError, match="two sets of vectors of one length") as refused:
            distances.euclidean.pairwise(a, b)
        assert f"got shapes {a.shape} and {b.shape}" in str(refused.value)
    with pytest.raises(ValueError, match=r"must be one of euclidean.*'hamming'"):
        distances.get("hamming")
    assert distances.get(distances.cosine) is distances.cosine


def test_open_dimensions_hide_no_broadcast():
    tensors = ops.convert_to_tensor(A), ops.convert_to_tensor(A[:1])
    with pytest.raises(SHAPE_ERRORS):
        open_shapes(distances.euclidean, *tensors)(*tensors)


def test_the_dtype_is_that_of_both():
    half, whole = ops.cast(A[:5], "bfloat16"), ops.convert_to_tensor(B)
    for a, b in ((half, whole), (whole, half)):
        value = distances.manhattan(a, b)
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        exact = np.abs(to_numpy(ops.cast(a, "float32")) - to_numpy(ops.cast(b, "float32"))).sum(1)
        np.testing.assert_allclose(to_numpy(value), exact, rtol=1e-6)
    value = distances.euclidean(np.array([[0, 3]], "int32"), np.array([[4.0, 0.0]], "float32"))
    assert float(value[0]) == 5


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_the_euclidean_distance_is_exact_up_to_the_ends_of_its_domain(scale):
    a, b = (each[:5].astype(float) * scale for each in (A, B))
    value, gradient = value_and_gradient(
        lambda x: distances.euclidean(x, ops.convert_to_tensor(b.astype("float32"))),
        a.astype("float32"),
    )
    exact = np.linalg.norm(a - b, axis=1)
    np.testing.assert_allclose(value, exact.sum(), rtol=1e-5)
    np.testing.assert_allclose(gradient, (a - b) / exact[:, None], rtol=1e-4, atol=1e-5)


def test_integers_are_compared_as_numbers():
    images = np.array([[0, 255]], "uint8"), np.array([[255, 0]], "uint8")
    assert float(distances.manhattan(*images)[0]) == 510


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_pickles_are_the_distance_itself(name):
    distance = distances.get(name)
    assert pickle.loads(pickle.dumps(distance)) is distance
    assert copy.deepcopy(distance) is distance
