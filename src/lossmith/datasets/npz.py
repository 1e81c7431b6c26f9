"""Labelled images from an `.npz` file of NumPy arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossmith.datasets.images import ArrayImages
from lossmith.datasets.labelled import LabelledImages

IMAGE_KEYS = ("x", "images", "x_train")
LABEL_KEYS = ("y", "labels", "y_train")
TEST_KEYS = ("x_test", "y_test")


def load_npz(path: Path) -> LabelledImages:
    """Reads images and labels, and the official test part where the file has one."""
    with _opened(path) as archive:
        key_pairs = _key_pairs(archive.files, path)
        images = [_images(_read(archive, key, path), f"{key!r} in {path}") for key, _ in key_pairs]
        labels = [_labels(_read(archive, key, path), f"{key!r} in {path}") for _, key in key_pairs]
    _check_fit(images, labels, path)
    scaled, notes = _with_white(images, path)
    names, ids = np.unique(np.concatenate(labels), return_inverse=True)
    class_names = tuple(str(name) for name in names)
    train_ids, *test_ids = np.split(ids.astype(np.int64), np.cumsum([len(y) for y in labels])[:-1])
    test = LabelledImages(scaled[1], test_ids[0], class_names) if test_ids else None
    return LabelledImages(scaled[0], train_ids, class_names, test, notes)


def _opened(path: Path) -> Any:
    try:
        archive = np.load(path, allow_pickle=False) if zipfile.is_zipfile(path) else None
    except Exception as error:  # zipfile raises nearly anything on a broken file
        raise ValueError(f"{path} cannot be read: {error}.") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(
            f"{path} is not an .npz file; write one with np.savez(path, x=..., y=...)."
        )
    return archive


def _key_pairs(keys: Sequence[str], path: Path) -> list[tuple[str, str]]:
    """Finds the images and the labels, and those of the test part, among the keys of a file."""
    found = [
        next((key for key in known if key in keys), None) for known in (IMAGE_KEYS, LABEL_KEYS)
    ]
    tests = [key for key in TEST_KEYS if key in keys]
    if found[0] is None or found[1] is None or len(tests) == 1:
        raise ValueError(
            f"{path} needs the images as one of {', '.join(IMAGE_KEYS)} and the labels as one of "
            f"{', '.join(LABEL_KEYS)}; a test part is {' with '.join(TEST_KEYS)}. "
            f"It has the keys: {', '.join(keys) or 'none'}."
        )
    pairs = [(found[0], found[1])]
    return [*pairs, (tests[0], tests[1])] if tests else pairs


def _read(archive: Any, key: str, path: Path) -> NDArray[Any]:
    try:
        values = archive[key]
    except Exception as error:  # decompressors raise nearly anything on a broken file
        if "Object arrays" in str(error):
            raise ValueError(
                f"{key!r} in {path} is an object array. Such an array is a pickle, which can run "
                "code when it is read, so it is refused. Save images of one shape and labels as "
                "numbers or strings: np.savez(path, x=np.stack(images), y=np.array(names, str))."
            ) from error
        raise ValueError(f"{key!r} in {path} cannot be read: {error}.") from error
    if not isinstance(values, np.ndarray):
        raise ValueError(f"{key!r} in {path} is not an array; write the file with np.savez.")
    return values


def _images(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Brings images to `(N, H, W, C)`, without copying them."""
    if values.ndim == 3:
        values = values[..., np.newaxis]
    if values.ndim != 4 or values.shape[-1] not in (1, 3) or values.dtype.kind not in "buif":
        raise ValueError(
            f"Images are numbers of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), channels last; "
            f"{where} has shape {values.shape} and dtype {values.dtype}."
        )
    if values.size == 0:
        raise ValueError(f"{where} has no pixels: its shape is {values.shape}.")
    if values.dtype.kind == "f" and np.isnan(values.min()):
        holed = np.flatnonzero(np.isnan(values).any(axis=(1, 2, 3)))
        raise ValueError(
            f"{where} has NaN in {len(holed)} of {len(values)} images, the first at position "
            f"{holed[0]}: leave these images out, or fill the pixels in (np.nan_to_num)."
        )
    return values


def _labels(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Brings labels to `(N,)` whole numbers or strings."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    kind = values.dtype.kind
    whole = kind in "biu" or (kind == "f" and _is_whole(values))
    if values.ndim != 1 or not (whole or kind in "US"):
        raise ValueError(
            "Labels are whole numbers or strings of shape (N,), one per image; "
            f"{where} has shape {values.shape} and dtype {values.dtype}"
            + (", with values that are not whole." if kind == "f" and not whole else ".")
        )
    if kind == "S":
        return np.char.decode(values, "utf-8", "replace")
    return values.astype(np.int64) if kind == "f" else values


def _is_whole(values: NDArray[Any]) -> bool:
    return bool(np.isfinite(values).all() and (values == np.round(values)).all())


def _check_fit(images: Sequence[NDArray[Any]], labels: Sequence[NDArray[Any]], path: Path) -> None:
    for values, classes in zip(images, labels, strict=True):
        if len(values) != len(classes):
            raise ValueError(
                f"Every image needs one label; {path} has {len(values)} images and "
                f"{len(classes)} labels."
            )
    shapes = [values.shape[1:] for values in images]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"Training and test images have one shape; {path} has {shapes[0]} and {shapes[1]}."
        )
    if len({_scale(values) for values in images}) > 1:
        ranges = " and ".join(
            f"{values.dtype} from {values.min():g} to {values.max():g}" for values in images
        )
        raise ValueError(
            f"Training and test images have one scale; {path} has {ranges}. Bring both to [0, 1] "
            "as floats, or both to [0, 255] as integers."
        )


def _scale(values: NDArray[Any]) -> str:
    """What the white of one part can be; integers leave it to the range of all parts."""
    if values.dtype.kind != "f":
        return "integers"
    return "floats to 1" if values.max() <= 1 else "floats beyond 1"


def _with_white(
    images: Sequence[NDArray[Any]], path: Path
) -> tuple[list[ArrayImages], tuple[str, ...]]:
    """Finds out which value stands for white, from the dtype and the range of all parts."""
    low = min(float(values.min()) for values in images)
    high = max(float(values.max()) for values in images)
    is_float = images[0].dtype.kind == "f"
    deep = all(values.dtype == np.uint16 for values in images)
    if low >= 0 and high <= 1:
        notes = () if is_float else ("The images hold only 0 and 1, read as black and white.",)
        return [ArrayImages(values, white=1) for values in images], notes
    if low >= 0 and (2 <= high <= 255 if is_float else high <= 255):
        notes = ("The images are floats in [0, 255]; 255 is read as white.",) if is_float else ()
        dtype = np.float32 if is_float else np.uint8
        return [
            ArrayImages(values.astype(dtype, copy=False), white=255) for values in images
        ], notes
    if deep:
        return [ArrayImages(values, white=65535) for values in images], ()
    raise ValueError(
        f"Images have values in [0, 1] or [0, 255] (uint16: [0, 65535]); those in "
        f"{path} are {images[0].dtype} from {low:g} to {high:g}. Scale them, such as with "
        "(x - x.min()) / (x.max() - x.min())."
    )
