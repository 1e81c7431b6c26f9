"""Losses with centres: what shapes they take."""

import numpy as np
import pytest

import lossmith as ls

losses = ls.losses


def test_proxy_anchor_takes_one_embedding_per_item():
    loss = losses.ProxyAnchor(centres=np.eye(3))
    labels, steps = np.zeros((4, 2), "int32"), np.ones((4, 2, 3), "float32")
    with pytest.raises(ValueError, match=r"shape \(4, 2, 3\).* an embedding per item, \(N, D"):
        loss(labels, steps)
    assert losses.ArcFace(centres=np.eye(3)).values(labels, steps).shape == (4, 2)
