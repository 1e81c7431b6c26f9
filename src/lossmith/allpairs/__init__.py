"""Losses over all pairs of a batch of embeddings."""

from lossmith.allpairs.dense import (
    SupervisedContrastive,
    supervised_contrastive,
)

__all__ = ["SupervisedContrastive", "supervised_contrastive"]
