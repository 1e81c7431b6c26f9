"""What people are told when something is not as it should be."""

import json
import re
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from lossmith.datasets import folder
from lossmith.losses import contrastive
from lossmith.siamese.checkpoints import Checkpoints
from lossmith.siamese.settings import settings_for
from lossmith_cli.data import LARGEST_SIDE
from lossmith_cli.messages import plain_errors
from lossmith_cli.progress import stopped_by_ctrl_c

Command = Callable[..., Result]

FAST = ["--preset", "lab", "--epochs", "1", "--batch-size", "16"]


def save_images(folder: Path, count: int, size: tuple[int, ...] = (8, 8)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.stderr


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


def test_help_says_what_data_look_like(lossmith: Command) -> None:
    shown = " ".join(lossmith("train", "--help").stdout.split())
    assert "photos/cat/1.jpg" in shown
    assert "images x, (N, H, W)" in shown
    assert "labels y, (N,)" in shown
    assert "at least 6 images each" in shown


def test_a_file_in_the_place_of_the_run_is_left_alone(
    digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("precious")
    for path in (file, file / "run"):
        said = refused(lossmith("train", digits, "--out", path))
        assert f"{file} is a file, and a run needs a folder" in said
    assert file.read_text() == "precious"


def test_going_on_is_only_advised_where_there_is_a_run(
    run: Path, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    assert "--resume" not in refused(lossmith("train", digits, "--out", tmp_path))
    assert "--resume" not in refused(lossmith("train", digits, "--out", run))
    copy = tmp_path / "broken off"
    shutil.copytree(run, copy)
    (copy / "report.html").unlink()
    said = refused(lossmith("train", digits, "--out", copy))
    assert f"lossmith train {digits} --out '{copy}' --resume" in said


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_damaged_model_is_named(
    size: int, run: Path, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    content = (copy / "model.keras").read_bytes()
    (copy / "model.keras").write_bytes(content[:size])
    image = next((digits / "0").iterdir())
    said = refused(lossmith("verify", copy, image, image))
    assert f"{copy / 'model.keras'} cannot be loaded, it is damaged" in said
    assert said.count("\n") == 1


def test_a_damaged_checkpoint_is_named(
    run: Path, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "report.html").unlink()  # as if the training had been broken off before it was written
    (last,) = copy.glob("checkpoints/epoch-0012")
    (last / "model.keras").write_bytes(b"PK")
    said = refused(lossmith("train", digits, "--out", copy, "--resume"))
    assert f"{last / 'model.keras'} cannot be loaded" in said
    (last / "progress.json").write_text("{")
    said = refused(lossmith("train", digits, "--out", copy, "--resume"))
    assert f"{last / 'progress.json'} is not valid JSON" in said


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--margin", "1", "--set", "margin=2"], "--set margin=2 contradicts margin = 1.0"),
        (["--set", "factor=1", "--set", "factor=2"], "--set factor=2 contradicts factor = 1"),
        (["--set", "distance=cosine"], "write --distance cosine"),
        (["--set", "margin=NaN"], "`margin` must be a finite number > 0; got nan"),
    ],
)
def test_contradictions_are_refused(
    options: list[str], message: str, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    run = tmp_path / "run"
    assert message in refused(
        lossmith("train", digits, "--out", run, "--loss", "contrastive", *options)
    )


@pytest.mark.backend_free
def test_a_wrong_choice_is_told_with_the_right_ones(lossmith: Command) -> None:
    for option, known in (
        ("--preset", "'default', 'lab'"),
        ("--encoder", "'default', 'lab'"),
        ("--distance", "'euclidean', 'squared_euclidean', 'manhattan', 'cosine'"),
    ):
        said = refused(lossmith("train", "mnist5k", "--out", "run", option, "fast"))
        assert f"Invalid value for '{option}': 'fast' is not one of {known}." in said


def test_help_names_the_defaults(lossmith: Command) -> None:
    shown = " ".join(re.sub("[│┃|]", " ", lossmith("train", "--help").stdout).split())
    small, large, lab = settings_for(100), settings_for(20_000), settings_for(20_000, "lab")
    pair = settings_for(100, loss=contrastive)
    for default in (
        f"{small.loss.default_name}; {lab.loss.default_name} with --preset lab",
        f"that of the loss, else {small.distance}",
        f"{settings_for(1).epochs} to {settings_for(10**6).epochs}, the fewer the more",
        f"{lab.epochs} with --preset lab",
        f"{small.batch_size}; {large.batch_size} from 20,000 images on",
        f"{small.learning_rate}; {pair.learning_rate} for a loss of pair labels",
        f"default: ({small.embedding_size})",
        f"sides up to {LARGEST_SIDE}",
    ):
        assert default in shown
    assert lab.learning_rate == pair.learning_rate
    assert small.patience == lab.patience == small.seed == lab.seed == 0
    assert lab.batch_size == small.batch_size


def test_another_image_size_is_refused_when_a_training_goes_on(
    run: Path, digits: Path, lossmith: Command
) -> None:
    command = ["train", digits, "--out", run, "--resume", "--image-size"]
    assert "was started with image_size '8 x 8'" in refused(lossmith(*command, "16"))
    assert lossmith(*command, "8").exit_code == 0


def test_a_training_that_is_complete_is_left_as_it_is(
    run: Path, digits: Path, lossmith: Command
) -> None:
    model = (run / "model.keras").stat().st_mtime_ns
    again = lossmith("train", digits, "--out", run, "--resume")
    assert again.exit_code == 0
    assert "has come to its end; there is nothing to go on with" in again.stdout
    assert (run / "model.keras").stat().st_mtime_ns == model


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


def test_a_copy_of_the_data_is_known_by_what_is_in_it(
    run: Path, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    copy = tmp_path / "copied"
    shutil.copytree(digits, copy)
    told = [json.loads(lossmith("evaluate", run, data, "--json").stdout) for data in (digits, copy)]
    assert told[0] == told[1]
    assert told[0]["held_out_of_training"] is True
    assert lossmith("train", copy, "--out", run, "--resume").exit_code == 0
    renamed = next((copy / "0").iterdir()).rename(copy / "0" / "other.png")
    other = lossmith("evaluate", run, copy, "--json")
    assert json.loads(other.stdout)["held_out_of_training"] is False
    assert "as many images, but other ones" in other.stderr
    renamed.unlink()
    fewer = lossmith("evaluate", run, copy, "--json")
    assert json.loads(fewer.stdout)["held_out_of_training"] is False
    assert "299 images, where the training had 300" in fewer.stderr
    assert "bring the lost ones back" in fewer.stderr
    said = refused(lossmith("train", copy, "--out", run, "--resume"))
    assert "299 images, where the training had 300" in said


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
    assert "over all pairs of 8 images, the other of the 6 that there are for validation" in said
    monkeypatch.setattr(Checkpoints, "save", save)
    shutil.copytree(whole, read_as_needed, dirs_exist_ok=True)
    result = lossmith(*command, "--resume")
    assert result.exit_code == 0, result.output
    assert "epoch  1/2" not in result.stdout
    assert "loss cannot be compared" in (tmp_path / "run" / "report.html").read_text()


def test_another_preset_is_refused_when_a_training_goes_on(
    run: Path, digits: Path, lossmith: Command
) -> None:
    command = ["train", digits, "--out", run, "--resume", "--preset"]
    assert "was started with preset 'default'" in refused(lossmith(*command, "lab"))
    assert lossmith(*command, "default").exit_code == 0


def test_the_list_is_not_cut_in_a_narrow_terminal() -> None:
    from typer.testing import CliRunner

    from lossmith_cli.app import app

    shown = CliRunner().invoke(app, ["list"], env={"COLUMNS": "80"}).stdout
    assert "…" not in shown
    for choice in ("'euclidean'", "'squared_euclidean'", "'manhattan'", "'cosine'"):
        assert choice in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_ctrl_c_before_the_first_epoch_says_what_is_there(
    digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    path = tmp_path / "my [bold] run"
    ended = threading.Event()

    def interrupt() -> None:
        while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            if ended.wait(0.001):
                return
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread.start()
    try:
        result = lossmith("train", digits, "--out", path, *FAST)
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130, result.output
    assert f"lossmith train {digits} --out '{path}' --resume" in result.stderr
    assert "kept" not in result.stderr
    assert json.loads((path / "config.json").read_text())["data"]["source"] == str(digits)


def test_the_labs_pairs_are_refused_before_the_training_if_they_cannot_be_made(
    tmp_path: Path, lossmith: Command
) -> None:
    for name, count in (("cat", 20), ("dog", 20), ("owl", 4)):
        save_images(tmp_path / "data" / name, count)
    said = refused(lossmith("train", tmp_path / "data", "--out", tmp_path / "run", *FAST))
    assert "the test part has one only of: owl" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("assignment", "message"),
    [("same=0", "Leave same=0 out"), ("reduction=none", "leave reduction='none' out")],
)
def test_a_loss_that_cannot_train_on_these_pairs_is_refused(
    assignment: str, message: str, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    result = lossmith("train", digits, "--out", tmp_path / "run", *FAST, "--set", assignment)
    assert message in refused(result)
    assert not (tmp_path / "run").exists()


@pytest.mark.backend_free
def test_only_warnings_of_ones_own_are_notes(capsys: pytest.CaptureFixture[str]) -> None:
    with plain_errors():
        warnings.simplefilter("always")
        warnings.warn_explicit("about a picture", UserWarning, folder.__file__, 1)
        warnings.warn_explicit("The use of x.T is deprecated", UserWarning, np.__file__, 1)
    assert capsys.readouterr().err == "Note: about a picture\n"


def test_the_time_of_the_training_is_that_of_its_epochs(
    tmp_path: Path, lossmith: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, waited = Checkpoints.save, []

    def slow_save(*arguments: Any) -> None:
        save(*arguments)
        waited.append(100)

    clock = time.perf_counter
    monkeypatch.setattr(Checkpoints, "save", slow_save)
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + sum(waited))
    for name in ("cat", "dog"):
        save_images(tmp_path / "data" / name, 10)
    result = lossmith("train", tmp_path / "data", "--out", tmp_path / "run", *FAST)
    assert result.exit_code == 0, result.stderr
    (epoch,) = re.findall(r"\| ([0-9.]+) s$", result.stdout, re.MULTILINE)
    (training,) = re.findall(r"Trained in ([0-9]+) s", result.stdout)
    assert float(epoch) == pytest.approx(float(training), abs=0.6)


@pytest.mark.backend_free
@pytest.mark.parametrize("anything_saved", [False, True])
def test_ctrl_c_before_an_epoch_says_whether_any_is_kept(
    anything_saved: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with stopped_by_ctrl_c(anything_saved):
        signal.raise_signal(signal.SIGINT)
    said = capsys.readouterr().err
    assert ("complete epochs are kept" in said) == anything_saved
    assert ("no epoch is complete yet" in said) != anything_saved


@pytest.mark.backend_free
def test_data_without_a_name_are_refused(
    tmp_path: Path, lossmith: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        save_images(tmp_path / name, 10)
    assert "name of the data is empty" in refused(lossmith("train", "", "--out", "run", *FAST))
    assert not (tmp_path / "run").exists()
