"""Values on Keras' NumPy backend, which trains nothing."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from contract import allpairs_oracles as oracles

CODE = """
import json
import numpy as np
import lossmith as ls
from lossmith.allpairs import engine

L = ls.losses
embeddings = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
ids, weights = np.arange(8) % 3, np.array([1, 2, 0, 1, 0.5, 1, 3, 1], "float32")
losses = [L.all_pairs_contrastive, L.supervised_contrastive, L.lifted_structure, L.triplet,
          L.triplet(mining="semi_hard")]
values = []
for engine._ENTRIES in (1, 2**19):
    engine._FEWEST_ROWS = 3
    values.append([float(loss(ids, embeddings, weights)) for loss in losses])
print(json.dumps(values))
"""


@pytest.mark.backend_free
def test_values_at_once_and_in_several_blocks():
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    embeddings = np.random.default_rng(0).normal(size=(8, 4)).astype("float32").astype(float)
    batch = np.arange(8) % 3, embeddings, np.array([1, 2, 0, 1, 0.5, 1, 3, 1])
    expected = [
        oracles.all_pairs_contrastive(*batch),
        oracles.supervised_contrastive(*batch),
        oracles.lifted_structure(*batch),
        oracles.triplet(*batch),
        oracles.triplet(*batch, mining="semi_hard"),
    ]
    for values in json.loads(done.stdout):
        np.testing.assert_allclose(values, expected, rtol=1e-5)
