"""Losses over all pairs of a batch of embeddings, in linear memory."""

from lossmith.allpairs.base import AllPairsLoss, TwoEncoderLoss
from lossmith.allpairs.contrastive import (
    AllPairsContrastive,
    all_pairs_contrastive,
)
from lossmith.allpairs.memory import CrossBatchMemory, MemoryState
from lossmith.allpairs.metrics import (
    ActivePairs,
    MeanNegativeDistance,
    MeanPositiveDistance,
)
from lossmith.allpairs.softmax import (
    Clip,
    NPair,
    NtXent,
    SupervisedContrastive,
    clip,
    n_pair,
    nt_xent,
    supervised_contrastive,
)
from lossmith.allpairs.triplets import (
    Triplet,
    triplet,
)
from lossmith.allpairs.weighting import (
    Circle,
    LiftedStructure,
    MultiSimilarity,
    Siglip,
    circle,
    lifted_structure,
    multi_similarity,
    siglip,
)

__all__ = [
    "ActivePairs",
    "AllPairsContrastive",
    "AllPairsLoss",
    "Circle",
    "Clip",
    "CrossBatchMemory",
    "LiftedStructure",
    "MeanNegativeDistance",
    "MeanPositiveDistance",
    "MemoryState",
    "MultiSimilarity",
    "NPair",
    "NtXent",
    "Siglip",
    "SupervisedContrastive",
    "Triplet",
    "TwoEncoderLoss",
    "all_pairs_contrastive",
    "circle",
    "clip",
    "lifted_structure",
    "multi_similarity",
    "n_pair",
    "nt_xent",
    "siglip",
    "supervised_contrastive",
    "triplet",
]
