"""What people are told of the images that they give."""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from cli.told import FAST, refused, save_images
from PIL import Image
from typer.testing import Result

from lossmith.siamese.checkpoints import Checkpoints

Command = Callable[..., Result]


def test_images_without_class_folders_are_told_where_to_go(
    tmp_path: Path, lossmith: Command
) -> None:
    save_images(tmp_path / "data", 3)
    said = refused(lossmith("train", tmp_path / "data", "--out", tmp_path / "run"))
    assert (
        f"need two classes or more; the folder {tmp_path / 'data'} has none. Put the images of "
        "each class into a sub-folder of its own"
    ) in said
    assert "Images outside the class folders, left out: 3 (0.png, 1.png, 2.png)." in said
    assert str(tmp_path / "data" / "cat" / "1.jpg") in said


def test_a_broken_image_is_told_of_once(tmp_path: Path, lossmith: Command) -> None:
    for name in ("a", "b"):
        save_images(tmp_path / "data" / name, 6)
    (tmp_path / "data" / "a" / "broken.png").write_text("no image")
    result = lossmith("train", tmp_path / "data", "--out", tmp_path / "run", *FAST)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("broken.png") == 1


def test_very_few_images_get_no_narrow_intervals(tmp_path: Path, lossmith: Command) -> None:
    for name in ("a", "b"):
        save_images(tmp_path / "data" / name, 6)
    run = tmp_path / "run"
    result = lossmith("train", tmp_path / "data", "--out", run, *FAST)
    told = "too few test items for intervals"
    assert told in result.stderr
    assert told in (run / "report.html").read_text()
    test = json.loads((run / "metrics.json").read_text())["test"]
    assert test["too_few"] is True
    assert all(test[name]["high"] - test[name]["low"] > 0.8 for name in ("auc", "equal_error_rate"))


@pytest.mark.parametrize(("first", "second"), [(6, 2), (5, 5), (20, 1)])
def test_too_few_images_are_refused_with_the_number_that_is_enough(
    first: int, second: int, tmp_path: Path, lossmith: Command
) -> None:
    save_images(tmp_path / "data" / "a", first)
    save_images(tmp_path / "data" / "b", second)
    said = refused(lossmith("train", tmp_path / "data", "--out", tmp_path / "run"))
    assert "at least two classes with at least 6 images each" in said


def test_a_stretched_image_is_told_of(
    run: Path, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    image = next((digits / "0").iterdir())
    Image.open(image).resize((24, 8)).save(tmp_path / "wide.png")
    Image.open(image).resize((24, 24)).save(tmp_path / "large.png")
    result = lossmith("verify", run, tmp_path / "large.png", tmp_path / "wide.png")
    assert result.exit_code == 0
    assert f"{tmp_path / 'wide.png'} is 8 x 24 (height x width) and is stretched" in result.stderr
    assert "large.png" not in result.stderr


def test_colours_and_transparency_that_are_lost_are_told_of(
    run: Path, tmp_path: Path, lossmith: Command
) -> None:
    for mode in ("L", "RGB", "LA", "RGBA"):
        Image.new(mode, (8, 8)).save(tmp_path / f"{mode}.png")
    for command in ("verify", "search"):
        for query, colours, alpha in [
            ("RGBA", True, True),
            ("LA", False, True),
            ("L", False, False),
        ]:
            other = [tmp_path / "RGB.png"] if command == "verify" else ["--gallery", tmp_path]
            result = lossmith(command, run, tmp_path / f"{query}.png", *other)
            assert result.exit_code == 0, result.stderr
            said = result.stderr
            assert (f"{query}.png has colours and is read as grey." in said) == colours
            assert (f"{query}.png may be transparent in places" in said) == alpha
            assert ("RGB.png has colours" in said) == (command == "verify")
            assert ("2 of 4 images may be transparent in places" in said) == (command == "search")


def test_images_of_another_size_and_colour_are_measured_as_verify_would(
    run: Path, tmp_path: Path, lossmith: Command
) -> None:
    for name in ("cat", "dog"):
        save_images(tmp_path / "data" / name, 4, (16, 12, 3))
    report = tmp_path / "report.html"
    result = lossmith("evaluate", run, tmp_path / "data", "--report", report)
    assert result.exit_code == 0, result.stderr
    assert "8 of 8 images have colours and are read as grey" in result.stderr
    assert f"The report is in {report}." in result.stderr
    assert "read as grey" in report.read_text()


def test_a_report_says_what_was_left_out_and_how_few_chose_the_threshold(
    tmp_path: Path, lossmith: Command
) -> None:
    for name in ("cat", "dog"):
        save_images(tmp_path / "data" / name, 10)
    (tmp_path / "data" / "cat" / "torn.png").write_bytes(b"\x89PNG")
    result = lossmith("train", tmp_path / "data", "--out", tmp_path / "run", *FAST)
    assert result.exit_code == 0, result.stderr
    report = (tmp_path / "run" / "report.html").read_text()
    assert "torn.png" in report
    assert "The threshold was chosen on 4 images only" in report


@pytest.fixture
def read_as_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images that are not kept in memory."""
    monkeypatch.setattr("lossmith.datasets.folder._fits", lambda *_: False)
    for name in ("cat", "dog"):
        save_images(tmp_path / "data" / name, 30, (64, 64))
    return tmp_path / "data"


def truncate(paths: Iterable[Path]) -> None:
    for path in paths:
        path.write_bytes(path.read_bytes()[:-2000])


def test_every_damaged_image_is_named_before_the_training(
    read_as_needed: Path, tmp_path: Path, lossmith: Command
) -> None:
    damaged = [read_as_needed / "cat" / f"{number}.png" for number in range(4)]
    truncate(damaged)
    said = refused(lossmith("train", read_as_needed, "--out", tmp_path / "run", *FAST))
    assert all(f"The image {path} cannot be decoded" in said for path in damaged)
    assert not (tmp_path / "run").exists()


def test_an_image_damaged_while_the_training_runs_is_named_and_what_is_done_is_kept(
    read_as_needed: Path, tmp_path: Path, lossmith: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Checkpoints.save
    whole = shutil.copytree(read_as_needed, tmp_path / "whole")

    def damage_after_saving(*arguments: Any) -> None:
        save(*arguments)
        truncate(read_as_needed.glob("*/*.png"))

    monkeypatch.setattr(Checkpoints, "save", damage_after_saving)
    command = ["train", read_as_needed, "--out", tmp_path / "run", "--epochs", 2]
    said = refused(lossmith(*command, "--batch-size", 8))
    assert said.count("cannot be decoded: image file is truncated") == 1
    assert "--resume" in said
    assert "over all pairs of 8 images, the other of 6, as many as a batch of those for" in said
    monkeypatch.setattr(Checkpoints, "save", save)
    shutil.copytree(whole, read_as_needed, dirs_exist_ok=True)
    result = lossmith(*command, "--resume")
    assert result.exit_code == 0, result.output
    assert "epoch  1/2" not in result.stdout
    assert "loss cannot be compared" in (tmp_path / "run" / "report.html").read_text()


def test_the_labs_pairs_are_refused_before_the_training_if_they_cannot_be_made(
    tmp_path: Path, lossmith: Command
) -> None:
    for name, count in (("cat", 20), ("dog", 20), ("owl", 4)):
        save_images(tmp_path / "data" / name, count)
    said = refused(lossmith("train", tmp_path / "data", "--out", tmp_path / "run", *FAST))
    assert "the test part has one only of: owl" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.backend_free
def test_data_without_a_name_are_refused(
    tmp_path: Path, lossmith: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        save_images(tmp_path / name, 10)
    assert "name of the data is empty" in refused(lossmith("train", "", "--out", "run", *FAST))
    assert not (tmp_path / "run").exists()
