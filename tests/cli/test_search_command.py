import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

Command = Callable[..., Result]


@pytest.fixture
def own_run(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, since the first search writes into it."""
    return Path(shutil.copytree(run, tmp_path / "run"))


def test_the_nearest_images_are_of_the_same_kind_and_the_query_itself_comes_first(
    own_run: Path, digits: Path, lossmith: Command, lossmith_json: Callable[..., Any]
) -> None:
    query = sorted((digits / "1").iterdir())[3]
    first = lossmith("search", own_run, query)
    assert first.exit_code == 0
    assert "300 images" in first.stderr
    assert "embedded once" in first.stderr
    written = (own_run / "gallery.npz").stat().st_mtime_ns

    found = lossmith_json("search", own_run, query, "--k", 7)
    assert (own_run / "gallery.npz").stat().st_mtime_ns == written
    neighbours = found["neighbours"]
    assert len(neighbours) == 7
    assert neighbours[0]["image"] == f"1/{query.name}"
    assert neighbours[0]["distance"] < 1e-4
    assert sum(each["class"] == "1" for each in neighbours) >= 6
    distances = [each["distance"] for each in neighbours]
    assert distances == sorted(distances)
    assert all(each["same"] == (each["distance"] < found["threshold"]) for each in neighbours)
    assert f"1/{query.name}" in first.stdout


def test_distances_are_those_of_verify(
    own_run: Path, digits: Path, lossmith_json: Callable[..., Any]
) -> None:
    query = next((digits / "0").iterdir())
    for each in lossmith_json("search", own_run, query, "--k", 3)["neighbours"]:
        verdict = lossmith_json("verify", own_run, query, digits / each["image"])
        assert verdict["distance"] == pytest.approx(each["distance"], abs=1e-4)


def test_another_gallery_is_searched_and_not_kept(
    own_run: Path, digits: Path, tmp_path: Path, lossmith_json: Callable[..., Any]
) -> None:
    query = next((digits / "0").iterdir())
    for digit in ("1", "2"):
        (tmp_path / "others" / digit).mkdir(parents=True)
        for file in sorted((digits / digit).iterdir())[:6]:
            shutil.copy(file, tmp_path / "others" / digit)
    options = ["--gallery", tmp_path / "others", "--k", 100]
    found = lossmith_json("search", own_run, query, *options)
    assert len(found["neighbours"]) == 12
    assert {each["class"] for each in found["neighbours"]} == {"1", "2"}
    assert not (own_run / "gallery.npz").exists()


def test_a_gallery_needs_neither_classes_nor_sub_folders(
    own_run: Path, digits: Path, tmp_path: Path, lossmith_json: Callable[..., Any]
) -> None:
    zeros = sorted((digits / "0").iterdir())[:6]
    flat, mixed = tmp_path / "flat", tmp_path / "mixed"
    for folder in (flat, mixed, mixed / "zero"):
        folder.mkdir()
    for file in zeros[:4]:
        shutil.copy(file, flat)
    shutil.copy(zeros[4], mixed)
    shutil.copy(zeros[5], mixed / "zero")
    pixels = np.stack([np.asarray(Image.open(file)) for file in zeros])
    np.savez(tmp_path / "zeros.npz", x=pixels, y=np.zeros(6, int))
    for gallery, expected in [
        (flat, {(file.name, "flat") for file in zeros[:4]}),
        (mixed, {(zeros[4].name, "mixed"), (f"zero/{zeros[5].name}", "zero")}),
        (tmp_path / "zeros.npz", {(f"image {number}", "0") for number in range(6)}),
    ]:
        found = lossmith_json("search", own_run, zeros[0], "--gallery", gallery, "--k", 10)
        assert {(each["image"], each["class"]) for each in found["neighbours"]} == expected


def test_a_gallery_without_images_is_refused_as_one(
    own_run: Path, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    (tmp_path / "empty").mkdir()
    query = next((digits / "0").iterdir())
    result = lossmith("search", own_run, query, "--gallery", tmp_path / "empty")
    assert result.exit_code == 2
    assert f"A gallery needs an image; {tmp_path / 'empty'} has none." in result.stderr


def test_the_gallery_of_another_network_is_made_again(
    own_run: Path, digits: Path, lossmith: Command, lossmith_json: Callable[..., Any]
) -> None:
    query = next((digits / "0").iterdir())
    lossmith("search", own_run, query)
    with np.load(own_run / "gallery.npz") as archive:
        parts = dict(archive)
    assert json.loads(str(parts["made_with"]))["source"] == str(digits.resolve())
    parts["embeddings"] = np.zeros_like(parts["embeddings"])
    np.savez(own_run / "gallery.npz", **{**parts, "made_with": np.array("other weights")})
    found = lossmith_json("search", own_run, query)
    assert found["neighbours"][0]["distance"] < found["neighbours"][4]["distance"]
    np.savez(own_run / "gallery.npz", **parts)
    found = lossmith_json("search", own_run, query)
    assert found["neighbours"][0]["distance"] == found["neighbours"][4]["distance"]


def test_a_picture_shows_the_query_and_its_neighbours(
    own_run: Path, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    query = next((digits / "2").iterdir())
    for name in ("new.svg", "new.png"):
        result = lossmith("search", own_run, query, "--k", 3, "--picture", tmp_path / name)
        assert result.exit_code == 0, result.stderr
    assert Image.open(tmp_path / "new.png").size[0] > 500
    drawn = ElementTree.parse(tmp_path / "new.svg").getroot()
    assert len(drawn.findall(".//{http://www.w3.org/2000/svg}image")) == 4
    refused = lossmith("search", own_run, query, "--picture", tmp_path / "new.png")
    assert refused.exit_code == 2
    assert "exists" in refused.stderr


def test_a_picture_of_images_that_have_changed_is_refused(
    own_run: Path, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    query = next((digits / "0").iterdir())
    lossmith("search", own_run, query)
    with np.load(own_run / "gallery.npz") as archive:
        parts = dict(archive)
    np.savez(own_run / "gallery.npz", **{**parts, "names": np.roll(parts["names"], 1)})
    result = lossmith("search", own_run, query, "--picture", tmp_path / "new.png")
    assert result.exit_code == 2
    assert "no longer those" in result.stderr
    assert not (tmp_path / "new.png").exists()


def test_what_cannot_be_searched_is_explained(
    own_run: Path, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    query = next((digits / "0").iterdir())
    (own_run / "gallery.npz").write_text("no archive")
    for arguments, message in [
        ((own_run, tmp_path / "none.png"), "no image file"),
        ((tmp_path, query), "no run folder"),
        ((own_run, query), "gallery.npz cannot be read as a gallery"),
        ((own_run, query, "--gallery", "mnist5k"), "takes images of 8 x 8 grey"),
        ((own_run, query, "--picture", tmp_path / "new.doc"), ".png, .svg, .pdf"),
        ((own_run, query, "--picture", tmp_path / "no" / "new.png"), "does not exist"),
    ]:
        result = lossmith("search", *arguments)
        assert result.exit_code == 2, arguments
        assert message in result.stderr
    config = json.loads((own_run / "config.json").read_text())
    del config["data"]["source"]
    (own_run / "config.json").write_text(json.dumps(config))
    nameless = lossmith("search", own_run, query)
    assert nameless.exit_code == 2
    assert "does not name the data of the training" in nameless.stderr


def test_without_the_extra_nothing_is_embedded(
    own_run: Path, digits: Path, lossmith: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "usearch", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    result = lossmith("search", own_run, next((digits / "0").iterdir()))
    assert result.exit_code == 2
    assert "pip install 'lossmith[search]'" in result.stderr
    assert not (own_run / "gallery.npz").exists()
