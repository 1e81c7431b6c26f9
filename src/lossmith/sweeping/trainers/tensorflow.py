"""One candidate after the other: TensorFlow."""

from lossmith.sweeping.trainers.serial import Trainer

__all__ = ["Trainer"]
