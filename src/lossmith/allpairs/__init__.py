"""Losses over all pairs of a batch of embeddings, in linear memory."""

from lossmith.allpairs.base import AllPairsLoss
from lossmith.allpairs.contrastive import AllPairsContrastive, all_pairs_contrastive
from lossmith.allpairs.softmax import SupervisedContrastive, supervised_contrastive

__all__ = [
    "AllPairsContrastive",
    "AllPairsLoss",
    "SupervisedContrastive",
    "all_pairs_contrastive",
    "supervised_contrastive",
]
