"""Train one model for each value of a loss' hyperparameters, and compare them."""

from lossmith.sweeping.api import sweep
from lossmith.sweeping.result import Row, SweepResult
from lossmith.sweeping.runs import Outcome, Run

__all__ = ["Outcome", "Row", "Run", "SweepResult", "sweep"]
