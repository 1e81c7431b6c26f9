"""Search in a gallery against sorting all distances, and what its file may hold."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances

from lossmith.siamese.gallery import Gallery

DISTANCES = ["euclidean", "squared_euclidean", "manhattan", "cosine"]
METRICS = {"squared_euclidean": "sqeuclidean"}


def gallery_of(embeddings: Any, distance: Any = "euclidean") -> Gallery:
    embeddings = np.asarray(embeddings, dtype=np.float32)
    names = tuple(f"{number}.png" for number in range(len(embeddings)))
    return Gallery(embeddings, names, ("thing",) * len(embeddings), distance)


@pytest.mark.parametrize("distance", DISTANCES)
@given(seed=st.integers(0, 1000), size=st.integers(1, 60), k=st.integers(1, 12))
@settings(max_examples=20)
def test_neighbours_are_the_first_of_all_sorted_by_distance(
    distance: str, seed: int, size: int, k: int
) -> None:
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(size, 5)).astype(np.float32)
    queries = rng.normal(size=(3, 5)).astype(np.float32)
    found = gallery_of(items, distance).search(queries, k)
    all_distances = pairwise_distances(
        queries.astype(np.float64), items.astype(np.float64), METRICS.get(distance, distance)
    )
    assert found.indices.shape == found.distances.shape == (3, min(k, size))
    np.testing.assert_array_equal(found.indices, np.argsort(all_distances)[:, :k])
    np.testing.assert_allclose(found.distances, np.sort(all_distances)[:, :k], rtol=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_an_item_that_is_there_is_found_at_distance_0_and_ties_keep_their_order(
    distance: str,
) -> None:
    rng = np.random.default_rng(0)
    items = np.repeat(1000 + rng.normal(size=(20, 16)), 3, axis=0).astype(np.float32)
    found = gallery_of(items, distance).search(items[[31]], k=3)
    assert found.indices.tolist() == [[30, 31, 32]]
    assert found.distances.tolist() == [[0, 0, 0]]


def test_a_zero_vector_is_at_right_angles_to_every_other() -> None:
    found = gallery_of([[0, 0], [-1, 0], [0, 0.5]], "cosine").search(np.zeros((1, 2), "f4"), k=3)
    assert found.indices.tolist() == [[0, 1, 2]]
    assert found.distances.tolist() == [[0, 1, 1]]


def test_a_saved_gallery_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "gallery.npz"
    embeddings = np.arange(6, dtype=np.float32).reshape(3, 2)
    saved = Gallery(embeddings, ("猫/1.png", "a b.png", ""), ("猫", "dog", "dog"), "cosine", "{}")
    saved.save(path)
    loaded = Gallery.load(path)
    assert [file.name for file in tmp_path.iterdir()] == ["gallery.npz"]
    np.testing.assert_array_equal(loaded.embeddings, embeddings)
    for name in ("names", "classes", "distance", "made_with"):
        assert getattr(loaded, name) == getattr(saved, name)


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gallery.npz"
    gallery_of([[1.0]]).save(path)
    before = path.read_bytes()

    def full_disk(path: Path, **_: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        gallery_of([[2.0]]).save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("run",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embeddings": np.array([Evil()], dtype=object)}, "allow_pickle=False"),
        ({"embeddings": np.zeros((2, 3), dtype=np.int64)}, "floating numbers"),
        ({"embeddings": np.full((2, 1), np.nan, dtype=np.float32)}, "must be finite"),
        ({"names": np.array(["a"])}, "1 names"),
        ({"classes": np.array([1, 2])}, "expected texts"),
        ({"distance": np.array("hamming")}, "distance must be one of"),
    ],
)
def test_a_file_that_is_no_gallery_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts: dict[str, Any] = {
        "embeddings": np.zeros((2, 1), dtype=np.float32),
        "names": np.array(["a", "b"]),
        "classes": np.array(["x", "y"]),
        "distance": np.array("euclidean"),
        "made_with": np.array(""),
    }
    np.savez(tmp_path / "gallery.npz", **(parts | changes))
    with pytest.raises(ValueError, match=f"gallery.npz cannot be read.*{message}"):
        Gallery.load(tmp_path / "gallery.npz")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "gallery.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"gallery\.npz cannot be read as a gallery"):
        Gallery.load(path)


def test_a_file_with_damaged_bytes_is_read_or_named(tmp_path: Path) -> None:
    path = tmp_path / "gallery.npz"
    gallery_of(np.random.default_rng(0).normal(size=(40, 8))).save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    refusals = []
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), size=3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            Gallery.load(path)
        except ValueError as error:
            refusals.append(str(error))
    assert refusals
    assert all("gallery.npz cannot be read as a gallery" in refusal for refusal in refusals)


def test_a_file_without_all_parts_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "gallery.npz", embeddings=np.zeros((1, 1), dtype=np.float32))
    with pytest.raises(ValueError, match=r"gallery\.npz cannot be read as a gallery: .*names"):
        Gallery.load(tmp_path / "gallery.npz")
    with pytest.raises(FileNotFoundError, match="no gallery at"):
        Gallery.load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: gallery_of(np.zeros((0, 3))), "at least one"),
        (lambda: gallery_of([[1.0]]).search(np.zeros((1, 1), "f4"), k=0), "from 1 on; got 0"),
        (lambda: gallery_of([[1.0]]).search(np.zeros((1, 2), "f4")), r"shape \(Q, 1\); got \(1, 2"),
        (lambda: gallery_of([[1.0]]).search(np.full((1, 1), np.nan, "f4")), "finite"),
        (lambda: gallery_of([[1.0]]).save(Path("gallery.pkl")), ".npz file"),
    ],
)
def test_what_cannot_be_searched_is_refused(act: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()


def test_without_the_extra_the_command_to_install_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    monkeypatch.setitem(sys.modules, "usearch", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lossmith\[search\]'"):
        gallery_of([[1.0]]).search(np.zeros((1, 1), "f4"))
