"""One candidate after the other: TensorFlow."""

from lossmith.sweeping.trainers.serial import train

__all__ = ["train"]
