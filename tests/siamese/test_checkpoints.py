from pathlib import Path

import pytest

from lossmith.siamese.checkpoints import Checkpoints, Progress


def saved(folder: Path, text: str) -> Checkpoints:
    (folder / "epoch-0001").mkdir()
    (folder / "epoch-0001" / "progress.json").write_text(text)
    return Checkpoints(folder)


def test_progress_comes_back(tmp_path: Path) -> None:
    text = '{"history": {"loss": [0.5], "val_auc": [0.75]}, "seconds": 2.5}'
    progress = saved(tmp_path, text).progress()
    assert progress == Progress({"loss": [0.5], "val_auc": [0.75]}, 2.5)
    assert (progress.epochs, progress.best_epoch) == (1, 1)


@pytest.mark.parametrize("text", ["[]", "{}", '{"history": 3, "seconds": 1}', "{"])
def test_damaged_progress_is_told_of_with_its_file(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"epoch-0001.progress\.json is not"):
        saved(tmp_path, text).progress()


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "epoch-0001 (copy)").mkdir()
    assert Checkpoints(tmp_path).progress() == Progress()
