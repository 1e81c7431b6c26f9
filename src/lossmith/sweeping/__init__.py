"""Train one model for each value of a loss' hyperparameters, and compare them."""

from lossmith.sweeping.api import sweep
from lossmith.sweeping.result import Row, SweepResult
from lossmith.sweeping.runs import Outcome, Run
from lossmith.sweeping.search import Objective, open_study

__all__ = ["Objective", "Outcome", "Row", "Run", "SweepResult", "open_study", "sweep"]
