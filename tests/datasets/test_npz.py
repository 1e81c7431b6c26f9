"""Labelled images from `.npz` files, good and bad."""

import numpy as np
import pytest

from lossmith.datasets import load

pytestmark = pytest.mark.backend_free

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
LABELS = np.array([3, 3, 7, 7, 9, 9])


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return path

    return write


@pytest.mark.parametrize("keys", [("x", "y"), ("images", "labels"), ("x_train", "y_train")])
def test_reads_images_and_labels(save, keys):
    data = load(save(**dict(zip(keys, (PIXELS, LABELS), strict=True))))
    assert data.images.shape == (5, 4, 1)
    assert data.images[[4, 0]].dtype == np.float32
    np.testing.assert_allclose(data.images[[4, 0]][..., 0], PIXELS[[4, 0]] / 255, rtol=1e-6)
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.class_names == ("3", "7", "9")
    assert data.test is None
    assert data.notes == ()


def test_reads_the_test_part_under_the_same_class_ids(save):
    data = load(save(x_train=PIXELS, y_train=LABELS, x_test=PIXELS[:2], y_test=np.array([9, 3])))
    assert data.test.labels.tolist() == [2, 0]
    assert data.test.class_names == data.class_names
    np.testing.assert_array_equal(data.test.images[:], data.images[:2])


@pytest.mark.parametrize("dtype", [str, bytes])
def test_strings_name_the_classes(save, dtype):
    data = load(save(x=PIXELS, y=np.array(["dog", "cat"] * 3, dtype=dtype)))
    assert data.class_names == ("cat", "dog")
    assert data.labels.tolist() == [1, 0, 1, 0, 1, 0]


def test_labels_as_a_column_and_as_whole_floats_are_read(save):
    assert load(save(x=PIXELS, y=LABELS[:, None])).labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert load(save(x=PIXELS, y=LABELS.astype(float))).class_names == ("3", "7", "9")


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (PIXELS, None),
        (PIXELS.astype(np.int64), None),
        (PIXELS.astype(np.uint16) * 257, None),
        (PIXELS / 255, None),
        (PIXELS.astype(np.float32), "255 is read as white"),
    ],
    ids=["uint8", "int64", "uint16", "unit floats", "byte floats"],
)
def test_every_known_range_becomes_zero_to_one(save, values, note):
    data = load(save(x=values, y=LABELS))
    np.testing.assert_allclose(data.images[:][..., 0], PIXELS / 255, atol=1e-6)
    assert data.images[:].dtype == np.float32
    assert [note in line for line in data.notes] == ([True] if note else [])


def test_black_and_white_images_are_not_read_as_nearly_black(save):
    data = load(save(x=(PIXELS > 127).astype(np.uint8), y=LABELS))
    assert set(np.unique(data.images[:])) == {0.0, 1.0}
    assert "only 0 and 1" in data.notes[0]


def test_colour_images_keep_their_channels(save):
    colour = np.stack([PIXELS] * 3, axis=-1)
    assert load(save(x=colour, y=LABELS)).images.shape == (5, 4, 3)


def test_a_label_that_occurs_once_is_said(save):
    data = load(save(x=PIXELS, y=np.array([0, 0, 0, 1, 1, 2])))
    assert data.notes == ('1 class has one image only, which makes "different" pairs only: 2.',)


OBJECTS = np.array([PIXELS[0], None, 1, 2, 3, 4], dtype=object)
WITH_NAN = np.where(PIXELS > 200, np.nan, PIXELS / 255)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": OBJECTS, "y": LABELS}, "'x' in .* is an object array.*refused"),
        ({"x": PIXELS, "y": LABELS.astype(object)}, "'y' in .* is an object array.*refused"),
        ({"pictures": PIXELS, "y": LABELS}, "It has the keys: pictures, y"),
        ({"x": PIXELS, "classes": LABELS}, "It has the keys: x, classes"),
        ({"x": PIXELS, "y": LABELS, "x_test": PIXELS}, "x_test with y_test"),
        ({"x": PIXELS, "y": LABELS[:4]}, "6 images and 4 labels"),
        ({"x": PIXELS.reshape(6, 20), "y": LABELS}, r"channels last; .*\(6, 20\)"),
        ({"x": PIXELS.reshape(6, 1, 5, 4), "y": LABELS}, r"channels last; .*\(6, 1, 5, 4\)"),
        ({"x": PIXELS[:0], "y": LABELS[:0]}, "no pixels"),
        ({"x": PIXELS / 255 - 0.5, "y": LABELS}, r"float64 from -0\.[0-9]+ to 0\.[0-9]+"),
        ({"x": PIXELS * 2.0, "y": LABELS}, r"\[0, 255\].*to [45][0-9]+"),
        ({"x": WITH_NAN, "y": LABELS}, r"'x' in .* has NaN in \d of 6 images.*position \d"),
        (
            {"x": PIXELS * 1.0, "y": LABELS, "x_test": WITH_NAN * 255, "y_test": LABELS},
            "'x_test' in .* has NaN",
        ),
        ({"x": PIXELS.astype(int) - 1, "y": LABELS}, "int64 from -"),
        ({"x": PIXELS, "y": np.zeros(6, int)}, "two classes or more; .* has one only: 0"),
        ({"x": PIXELS, "y": np.eye(6)}, r"shape \(N,\).*\(6, 6\)"),
        ({"x": PIXELS, "y": LABELS + 0.5}, "not whole"),
        ({"x": PIXELS, "y": np.full(6, np.nan)}, "not whole"),
        ({"x": PIXELS, "y": LABELS * np.inf}, "not whole"),
        (
            {"x": PIXELS, "y": LABELS, "x_test": PIXELS[:, :4], "y_test": LABELS},
            r"one shape; .*\(5, 4, 1\) and \(4, 4, 1\)",
        ),
        (
            {"x": PIXELS, "y": LABELS, "x_test": (PIXELS / 255).astype("f4"), "y_test": LABELS},
            r"one scale; .* has uint8 from \d+ to \d+ and float32 from [\d.e-]+ to [\d.]+",
        ),
        (
            {"x": PIXELS / 255, "y": LABELS, "x_test": PIXELS * 1.0, "y_test": LABELS},
            "one scale; .* has float64 from .* to .* and float64 from .* to 2",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_was_found(save, arrays, message):
    with pytest.raises(ValueError, match=message):
        load(save(**arrays))


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(b"\x80\x04N.")
    with pytest.raises(ValueError, match=r"not an \.npz file"):
        load(path)


def test_a_damaged_array_is_refused(save):
    path = save(x=PIXELS, y=LABELS)
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"'x' in .* cannot be read"):
        load(path)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_damage_anywhere_is_told_of_with_the_name_of_the_file(tmp_path, write):
    path = tmp_path / "data.npz"
    write(path, x=PIXELS, y=LABELS)
    whole = path.read_bytes()
    said = []
    for place in range(0, len(whole), 2):
        damaged = bytearray(whole)
        damaged[place] ^= 0xA5
        path.write_bytes(damaged)
        try:
            load(path)
        except ValueError as error:
            said.append(str(error))
    assert len(said) > len(whole) / 8
    assert all(str(path) in each for each in said)


def test_an_array_file_that_ends_like_an_npz_is_refused(tmp_path, save):
    content = save(x=PIXELS, y=LABELS).read_bytes()
    path = tmp_path / "both.npz"
    np.save(tmp_path / "array.npy", PIXELS)
    path.write_bytes((tmp_path / "array.npy").read_bytes() + content)
    with pytest.raises(ValueError, match=r"not an \.npz file"):
        load(path)
