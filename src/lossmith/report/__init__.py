"""Pictures of a trained twin network, singly as Matplotlib figures or together as one HTML file.

`lossmith.report.figures` draws single figures from NumPy data; `write_report` sets those that
`ReportData` has the data for into one file that needs nothing beside it.
"""

from lossmith.report.data import (
    Embedding,
    ReportData,
    Roc,
    RocPoint,
    SamplePairs,
    SummaryRow,
)
from lossmith.report.html import write_report

__all__ = [
    "Embedding",
    "ReportData",
    "Roc",
    "RocPoint",
    "SamplePairs",
    "SummaryRow",
    "write_report",
]
