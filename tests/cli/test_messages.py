"""What people are told when something is not as it should be."""

import json
import re
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.told import FAST, refused, save_images
from typer.testing import Result

from lossmith.datasets import folder
from lossmith.losses import contrastive
from lossmith.siamese.checkpoints import Checkpoints
from lossmith.siamese.settings import settings_for
from lossmith_cli.data import LARGEST_SIDE
from lossmith_cli.messages import plain_errors
from lossmith_cli.progress import stopped_by_ctrl_c

Command = Callable[..., Result]


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
