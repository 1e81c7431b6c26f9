"""One candidate after the other: PyTorch."""

from lossmith.sweeping.trainers.serial import Trainer

__all__ = ["Trainer"]
