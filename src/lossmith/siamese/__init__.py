"""Siamese networks: twins that share an encoder, their pairs, and how well they tell them apart."""

from lossmith.siamese.batches import ClassBatches
from lossmith.siamese.network import SiameseNetwork
from lossmith.siamese.pair_sampling import balanced_pairs, exhaustive_pairs, lab_pairs
from lossmith.siamese.pairs import AlignedPairs, LabelPairs, ReadyPairs
from lossmith.siamese.retrieval import RetrievalReport, retrieval_report
from lossmith.siamese.verification import VerificationScores, verification_report

__all__ = [
    "AlignedPairs",
    "ClassBatches",
    "LabelPairs",
    "ReadyPairs",
    "RetrievalReport",
    "SiameseNetwork",
    "VerificationScores",
    "balanced_pairs",
    "exhaustive_pairs",
    "lab_pairs",
    "retrieval_report",
    "verification_report",
]
