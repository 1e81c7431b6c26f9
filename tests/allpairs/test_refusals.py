"""What losses over all pairs refuse: the error names what came and says what to do."""

import numpy as np
import pytest
from keras import ops

import lossmith as ls
from lossmith.allpairs import AllPairsLoss

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
    with pytest.raises(ValueError, match="computed: `measure` must be one of.*got 'manhattan'"):
        Computed(by="manhattan")
