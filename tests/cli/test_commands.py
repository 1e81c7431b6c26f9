import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

import lossmith as ls
from lossmith.datasets import load, named

Command = Callable[..., Result]

FAST = ["--preset", "lab", "--epochs", "2", "--batch-size", "32", "--learning-rate", "0.003"]


def test_training_leaves_a_whole_run_folder(run: Path) -> None:
    assert {entry.name for entry in run.iterdir()} == {
        "checkpoints", "config.json", "history.json", "metrics.json", "model.keras", "report.html",
    }  # fmt: skip
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["ending"] == "finished"
    assert metrics["test"]["given"]["accuracy"]["value"] > 0.9
    assert metrics["test"]["given"]["threshold"]["value"] == metrics["threshold"]
    assert metrics["retrieval"]["recall_at"]["1"]["value"] > 0.9
    assert metrics["retrieval"]["queries"] == metrics["test_images"]
    assert len(json.loads((run / "history.json").read_text())["val_auc"]) == 12
    assert json.loads((run / "config.json").read_text())["settings"]["batch_size"] == 64
    report = (run / "report.html").read_text()
    assert "<html" in report
    assert all(f">{name}<" in report for name in ("Recall@1", "Recall@10", "MAP@R"))


def test_evaluation_uses_what_was_held_out_and_agrees_with_training(
    run: Path, digits: Path, tmp_path: Path, lossmith: Command, lossmith_json: Callable[..., Any]
) -> None:
    report = tmp_path / "again.html"
    again = lossmith_json("evaluate", run, digits, "--report", report)
    metrics = json.loads((run / "metrics.json").read_text())
    assert again["same_pairs"] == metrics["test_images"]
    assert again.items() >= metrics["test"].items()
    assert again["retrieval"] == metrics["retrieval"]
    assert "MAP@R" in report.read_text()
    for place, message in ((report, "exists"), (tmp_path / "no" / "it.html", "does not exist")):
        refused = lossmith("evaluate", run, digits, "--report", place)
        assert refused.exit_code == 2
        assert message in refused.stderr
        assert "Measuring" not in refused.stderr


def test_a_run_may_have_the_name_of_its_data_set(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lossmith: Command
) -> None:
    monkeypatch.setitem(named.DATA_SETS, "tiny", lambda: load(digits))
    monkeypatch.chdir(tmp_path)
    for command in (
        ["train", "tiny", "--out", "tiny", *FAST],
        ["train", "tiny", "--out", "tiny", "--resume"],
        ["evaluate", "tiny", "tiny", "--json"],
    ):
        result = lossmith(*command)
        assert result.exit_code == 0, result.stderr
        assert "other data than the training's" not in result.stderr
    trained = json.loads(Path("tiny/metrics.json").read_text())
    assert trained["test_pairs"] == "lab"
    assert json.loads(result.stdout).items() >= trained["test"].items()
    balanced = json.loads(lossmith(*command, "--pairs", "balanced").stdout)
    assert balanced["same_pairs"] == trained["test_images"] != trained["test"]["same_pairs"]


def test_evaluation_on_other_data_says_so(
    run: Path, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    for digit in ("0", "1"):
        (tmp_path / digit).mkdir()
        for file in sorted((digits / digit).iterdir())[:6]:
            (tmp_path / digit / file.name).write_bytes(file.read_bytes())
    result = lossmith("evaluate", run, tmp_path)
    assert result.exit_code == 0
    assert "other data than the training's" in result.stderr
    assert "12 images" in result.stdout


def test_two_images_are_called_same_or_different_by_the_threshold(
    run: Path, digits: Path, lossmith: Command, lossmith_json: Callable[..., Any]
) -> None:
    zeros, ones = (sorted((digits / digit).iterdir()) for digit in ("0", "1"))
    verdicts = {
        (a, b): lossmith_json("verify", run, a, b)
        for a, b in [(zeros[0], zeros[0]), (zeros[0], zeros[1]), (zeros[0], ones[0])]
    }
    for verdict in verdicts.values():
        assert verdict["same"] == (verdict["distance"] < verdict["threshold"])
    assert [verdict["same"] for verdict in verdicts.values()] == [True, True, False]
    shown = lossmith("verify", run, zeros[0], ones[0])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("different: distance")


def test_the_model_of_a_run_is_a_plain_keras_file(
    run: Path, digits: Path, fresh_process: Callable[..., Any]
) -> None:
    image = next((digits / "0").iterdir())
    found = fresh_process(
        """
        import json, sys
        import lossmith.siamese, keras
        from lossmith.datasets import ImageFormat, read_image
        network = keras.models.load_model(sys.argv[1])
        image = read_image(sys.argv[2], ImageFormat(8, 8, 1))[None]
        print(json.dumps([network.threshold, bool(network.same(image, image)[0])]))
        """,
        run / "model.keras",
        image,
    )
    assert found == [json.loads((run / "metrics.json").read_text())["threshold"], True]


def test_a_run_is_never_overwritten(run: Path, digits: Path, lossmith: Command) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    result = lossmith("train", digits, "--out", run)
    assert result.exit_code == 2
    assert "exists and is not empty" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@contextmanager
def ctrl_c_after_the_first_epoch(run: Path) -> Iterator[None]:
    ended = threading.Event()

    def interrupt() -> None:
        while not list(run.glob("checkpoints/epoch-*")):
            if ended.wait(0.001):
                return
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(
    digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    path = tmp_path / "run"
    command = ["train", digits, "--out", path, *FAST, "--epochs", "40"]
    before = signal.getsignal(signal.SIGINT)
    with ctrl_c_after_the_first_epoch(path):
        interrupted = lossmith(*command)
    assert interrupted.exit_code == 130, interrupted.stderr
    assert "--resume" in interrupted.stderr
    metrics = json.loads((path / "metrics.json").read_text())
    assert metrics["ending"] == "interrupted"
    assert 1 <= metrics["epochs"] < 40
    assert "interrupted" in (path / "report.html").read_text()
    assert signal.getsignal(signal.SIGINT) is before

    resumed = lossmith(*command, "--resume")
    assert resumed.exit_code == 0, resumed.stderr
    metrics = json.loads((path / "metrics.json").read_text())
    assert (metrics["ending"], metrics["epochs"]) == ("finished", 40)
    assert {"test_loss", "test_accuracy_at_half_margin"} <= metrics.keys()


def test_resume_refuses_other_settings_and_other_data(
    run: Path, digits: Path, lossmith: Command
) -> None:
    other = lossmith("train", digits, "--out", run, "--resume", "--epochs", 99)
    assert other.exit_code == 2
    assert "was started with epochs 12" in other.stderr
    loss = lossmith("train", digits, "--out", run, "--resume", "--set", "temperature=0.5")
    assert loss.exit_code == 2
    assert "was started with loss" in loss.stderr
    data = lossmith("train", "mnist5k", "--out", run, "--resume")
    assert data.exit_code == 2
    assert "not the data" in data.stderr


def test_pair_losses_and_their_hyperparameters_can_be_chosen(
    digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    path = tmp_path / "run"
    options = ["--loss", "contrastive", "--margin", "1.5", "--set", "factor=0.5"]
    result = lossmith("train", digits, "--out", path, *FAST, *options, "--distance", "manhattan")
    assert result.exit_code == 0, result.stderr
    settings = json.loads((path / "config.json").read_text())["settings"]
    assert settings["loss"]["config"]["margin"] == 1.5
    assert settings["loss"]["config"]["factor"] == 0.5
    assert settings["distance"] == "manhattan"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--loss", "contrastiv"], "Did you mean 'contrastive'"),
        (["--loss", "my_losses.py:pull"], "from Python: `from my_losses import pull`"),
        (["--loss", "pull"], "imports none: train with such a loss from Python"),
        (["--loss", "huber"], "labelled items with a loss of class ids"),
        (["--loss", "huber"], "or on pairs with a loss of pair labels, such as contrastive"),
        (["--loss", "poisson"], "poisson is not one of the losses"),
        (["--loss", "triplet", "--distance", "manhattan"], "`distance` must be one of"),
        (["--loss", "contrastive", "--margin", "3"], "can never be reached"),
        (["--loss", "contrastive", "--margin", "-1"], "`margin` must be a finite number > 0"),
        (["--margin", "1"], "no hyperparameter `margin`"),
        (["--margin", "1"], "the loss where none is named: name the one that has it, such as "),
        (["--set", "temperature"], "name=value"),
        (["--epochs", "0"], "epochs must be an integer >= 1"),
        (["--image-size", "big"], "An image size is"),
        (["--resume"], "no run folder"),
    ],
)
def test_wrong_options_are_explained_and_leave_nothing(
    options: list[str], message: str, digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    result = lossmith("train", digits, "--out", tmp_path / "run", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") <= 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--loss", "contrastiv"], "Did you mean 'contrastive'"),
        (["--loss", "contrastive", "--margin", "-1"], "`margin` must be a finite number > 0"),
        (["--epochs", "0"], "epochs must be an integer >= 1"),
        (["--batch-size", "0"], "batch_size must be an integer >= 2"),
        (["--learning-rate", "nan"], "learning_rate must be above 0"),
    ],
)
def test_options_are_checked_before_the_data_are_read(
    options: list[str], message: str, tmp_path: Path, lossmith: Command
) -> None:
    result = lossmith("train", tmp_path / "none", "--out", tmp_path / "run", *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_data_that_cannot_be_used_are_explained(
    digits: Path, tmp_path: Path, lossmith: Command
) -> None:
    (tmp_path / "one" / "cats").mkdir(parents=True)
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object), y=[0])
    (tmp_path / "few" / "a").mkdir(parents=True)
    (tmp_path / "few" / "b").mkdir()
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        Image.new("L", (8, 8)).save(tmp_path / "few" / name)
    for data, message in [
        ("cifar11", "is no data set"),
        (tmp_path / "objects.npz", "object"),
        (tmp_path / "one", "class"),
        (tmp_path / "few", "too few to hold some out"),
    ]:
        result = lossmith("train", data, "--out", tmp_path / "run")
        assert result.exit_code == 2
        assert message in result.stderr
        assert not (tmp_path / "run").exists()


def test_files_that_are_no_images_and_folders_that_are_no_runs(
    run: Path, tmp_path: Path, lossmith: Command
) -> None:
    (tmp_path / "notes.png").write_text("no image")
    broken = lossmith("verify", run, tmp_path / "notes.png", tmp_path / "notes.png")
    missing = lossmith("verify", run, tmp_path / "a.png", tmp_path / "b.png")
    no_run = lossmith("verify", tmp_path, "a.png", "b.png")
    assert [result.exit_code for result in (broken, missing, no_run)] == [2, 2, 2]
    assert "cannot be decoded" in broken.stderr
    assert "no image file" in missing.stderr
    assert "no run folder" in no_run.stderr


def test_a_configuration_from_elsewhere_is_refused(
    run: Path, tmp_path: Path, digits: Path, lossmith: Command
) -> None:
    image = next((digits / "0").iterdir())
    (tmp_path / "config.json").write_text('{"data": []}')
    result = lossmith("verify", tmp_path, image, image)
    assert result.exit_code == 2
    assert "not as `lossmith train` wrote it" in result.stderr
    config = json.loads((run / "config.json").read_text())
    config["settings"]["epochs"] = 0
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = lossmith("verify", tmp_path, image, image)
    assert result.exit_code == 2
    assert f"{tmp_path / 'config.json'} is not as `lossmith train` wrote it" in result.stderr
    assert "epochs must be an integer >= 1" in result.stderr


def test_images_of_another_format_are_refused(run: Path, lossmith: Command) -> None:
    result = lossmith("evaluate", run, "mnist5k")
    assert result.exit_code == 2
    assert "takes images of 8 x 8 grey; those of mnist5k are 28 x 28 grey" in result.stderr


def test_list_shows_every_loss_with_its_hyperparameters(
    lossmith: Command, lossmith_json: Callable[..., Any]
) -> None:
    shown = lossmith("list").stdout
    listed = lossmith_json("list")
    assert all(name in shown for name in listed)
    assert listed["huber"]["targets"] == "value"
    assert listed["huber"]["compares"] == "values"
    two_views = {name for name, each in listed.items() if each["compares"] == "two views"}
    assert two_views == {"clip", "siglip", "n_pair"}
    threshold = listed["huber"]["hyperparameters"]["threshold"]
    assert threshold == {"range": "a finite number > 0", "default": 1.0}
    assert {"contrastive", "supervised_contrastive"} <= listed.keys()
    assert set(listed) <= set(dir(ls.losses))


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"], ["verify"], ["search"], ["list"]])
def test_help_teaches(command: list[str], lossmith: Command) -> None:
    result = lossmith(*command, "--help")
    assert result.exit_code == 0
    assert "lossmith" in result.stdout


def test_large_images_are_made_smaller_and_that_is_said(tmp_path: Path, lossmith: Command) -> None:
    rng = np.random.default_rng(0)
    for name, low in [("dark", 0), ("light", 128)]:
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(low, low + 128, (100, 200), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    result = lossmith("train", tmp_path / "data", "--out", tmp_path / "run", *FAST)
    assert result.exit_code == 0, result.stderr
    assert "Images of 100 x 200 are used at 80 x 160" in result.stderr
