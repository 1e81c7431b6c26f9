"""Pairs with distances and labels to evaluate, and what a plain computation says of them."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lossmith.siamese.verification import VerificationScores


@st.composite
def scored_pairs(draw, dtype=np.float32):
    """Distances (with ties and zeros now and then) and labels of both kinds."""
    size = draw(st.integers(2, 40))
    width = 64 if dtype == np.float64 else 32
    distance = st.one_of(
        st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]),
        st.floats(0, 100, width=width, allow_subnormal=False),
    )
    distances = draw(arrays.arrays(dtype, size, elements=distance))
    labels = draw(arrays.arrays(np.int64, size, elements=st.integers(0, 1)))
    assume(0 < labels.sum() < size)
    return distances, labels


def normal_pairs(count, seed, same_fraction=0.5):
    """Overlapping distances of `count` pairs, as a trained network gives them."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < same_fraction).astype(int)
    distances = np.abs(rng.normal(np.where(labels == 1, 0.4, 1.0), 0.3))
    return distances.astype(np.float32), labels


def rates_by_loop(distances, labels, threshold):
    """False and true accept rate at `distance < threshold`."""
    accepted = distances < threshold
    return accepted[labels == 0].mean(), accepted[labels == 1].mean()


def streamed(distances, labels, bins=2**16):
    """Scores that have counted these pairs in one batch."""
    scores = VerificationScores(bins)
    scores.update(distances, labels)
    return scores
