"""Figures of training and verification: NumPy data in, a `matplotlib.figure.Figure` out.

The figures belong to no window and to no global state; save one with `figure.savefig(path)`.
"""

from lossmith.report.figures.curves import distance_histogram, roc_curve, training_curves
from lossmith.report.figures.neighbours import nearest_images
from lossmith.report.figures.pictures import embedding_map, sample_pairs

__all__ = [
    "distance_histogram",
    "embedding_map",
    "nearest_images",
    "roc_curve",
    "sample_pairs",
    "training_curves",
]
