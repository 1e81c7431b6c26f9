"""Losses of class centres and of two views, from the command line to the search."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from cli.told import refused
from typer.testing import Result

import lossmith as ls
from lossmith.siamese.checkpoints import Checkpoints

Command = Callable[..., Result]
OPTIONS = ["--epochs", 6, "--batch-size", 64, "--seed", 3, "--loss", "arcface", "--set", "scale=16"]


@pytest.fixture(scope="module")
def centred(digits: Path, tmp_path_factory: pytest.TempPathFactory, lossmith: Command) -> Path:
    """A run with a centre for each of the three digits; no test changes it."""
    path = tmp_path_factory.mktemp("runs") / "centred"
    result = lossmith("train", digits, "--out", path, *OPTIONS)
    assert result.exit_code == 0, result.stderr
    return path


def test_centres_are_learned_and_left_out_of_what_is_served(centred: Path) -> None:
    settings = json.loads((centred / "config.json").read_text())["settings"]
    assert settings["loss"]["config"]["centres"]["config"]["shape"] == [3, 64]
    assert settings["loss"]["config"]["scale"] == 16.0
    metrics = json.loads((centred / "metrics.json").read_text())
    assert metrics["test"]["auc"]["value"] > 0.9
    assert metrics["retrieval"]["map_at_r"]["value"] > 0.9
    served = keras.models.load_model(centred / "model.keras")
    trained = Checkpoints(centred / "checkpoints").load(6)
    assert ls.get_hyperparameters(served) == {}
    assert ls.get_hyperparameters(trained)["centres"].shape == (3, 64)
    assert served.count_params() == trained.count_params() - 3 * 64


def test_the_run_serves_as_any_other(
    centred: Path,
    digits: Path,
    tmp_path: Path,
    lossmith: Command,
    lossmith_json: Callable[..., Any],
) -> None:
    run = Path(shutil.copytree(centred, tmp_path / "run"))
    query = sorted((digits / "1").iterdir())[3]
    found = lossmith_json("search", run, query, "--k", 5)
    assert [each["class"] for each in found["neighbours"]].count("1") >= 4
    assert lossmith_json("verify", run, query, query)["same"] is True
    assert lossmith("evaluate", run, digits).exit_code == 0


def test_a_training_that_was_broken_off_goes_on_with_its_centres(
    centred: Path, digits: Path, tmp_path: Path, lossmith: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    save = Checkpoints.save

    def break_off_after_the_fourth(store: Checkpoints, model: Any, progress: Any) -> None:
        save(store, model, progress)
        if progress.epochs == 4:
            raise OSError("No space left on device")

    monkeypatch.setattr(Checkpoints, "save", break_off_after_the_fourth)
    assert lossmith("train", digits, "--out", path, *OPTIONS).exit_code != 0
    monkeypatch.setattr(Checkpoints, "save", save)
    said = refused(lossmith("train", digits, "--out", path, *OPTIONS[:-1], "scale=8", "--resume"))
    assert "was started with loss" in said
    resumed = lossmith("train", digits, "--out", path, *OPTIONS, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "epoch  4/6" not in resumed.stdout
    whole, broken = (json.loads((each / "history.json").read_text()) for each in (centred, path))
    for name in ("loss", "val_loss"):
        assert broken[name] == pytest.approx(whole[name], rel=0.02, abs=0.02)


def test_views_of_a_class_for_a_loss_of_two_encoders(
    digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    path = tmp_path / "run"
    result = lossmith(
        "train", digits, "--out", path, "--loss", "clip", "--epochs", 2, "--batch-size", 32
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads((path / "metrics.json").read_text())["test"]["auc"]["value"] > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--loss", "arcface", "--set", "margins=0.3"], "no hyperparameter `margins`"),
        (["--loss", "cosface", "--margin", "-1"], "`margin` must be"),
        (["--loss", "arcface", "--set", "centres=[[1, 0], [0, 1]]"], "learns its centres here"),
        (["--loss", "CrossBatchMemory"], "train from Python with the loss itself"),
    ],
)
def test_what_cannot_be_is_refused_before_the_training(
    options: list[str], message: str, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    assert message in refused(lossmith("train", digits, "--out", tmp_path / "run", *options))
    assert not (tmp_path / "run").exists()
