"""One candidate after the other: PyTorch."""

from lossmith.sweeping.trainers.serial import train

__all__ = ["train"]
