"""Siamese networks: twins that share an encoder, pairs to train them on, and what they are worth."""

from lossmith.siamese.network import SiameseNetwork
from lossmith.siamese.pair_sampling import balanced_pairs, exhaustive_pairs, lab_pairs
from lossmith.siamese.pairs import LabelPairs, ReadyPairs
from lossmith.siamese.verification import VerificationScores, verification_report

__all__ = [
    "LabelPairs",
    "ReadyPairs",
    "SiameseNetwork",
    "VerificationScores",
    "balanced_pairs",
    "exhaustive_pairs",
    "lab_pairs",
    "verification_report",
]
