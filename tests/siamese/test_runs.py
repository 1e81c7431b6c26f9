import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from lossmith.siamese import SiameseNetwork
from lossmith.siamese.runs import RunFolder


def network(threshold: float | None = 0.5) -> SiameseNetwork:
    encoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    return SiameseNetwork(encoder, "manhattan", threshold)


def test_a_run_folder_starts_with_its_configuration(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "first"
    RunFolder.create(path, {"seed": 3})
    assert [file.name for file in path.iterdir()] == ["config.json"]
    assert [folder.name for folder in path.parent.iterdir()] == ["first"]
    assert RunFolder.open(path).config() == {"seed": 3}


def test_an_empty_folder_can_become_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert RunFolder.create(tmp_path / "run", {}).config() == {}


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_there_is_never_overwritten(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    if kind == "folder":
        path.mkdir()
        (path / "thesis.tex").write_text("precious")
    else:
        path.write_text("precious")
    with pytest.raises(FileExistsError, match="is a file" if kind == "file" else "not empty"):
        RunFolder.create(path, {})
    assert (path / "thesis.tex" if kind == "folder" else path).read_text() == "precious"


def test_a_configuration_that_is_no_json_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        RunFolder.create(tmp_path / "run", {"set": {1, 2}})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_configuration_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no run folder"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize(("text", "message"), [("{", "not valid JSON"), ("[]", "JSON object")])
def test_a_broken_configuration_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=f"config.json.*{message}"):
        RunFolder.open(tmp_path).config()


def test_results_come_back(tmp_path: Path, fresh_process: Callable[..., Any]) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    saved = network(threshold=0.25)
    run.save_results(saved, {"loss": [0.5]}, {"ending": "finished"})
    assert run.history() == {"loss": [0.5]}
    assert json.loads((run.path / "metrics.json").read_text())["ending"] == "finished"
    assert run.load_network().threshold == 0.25
    a, b = np.eye(3, dtype="float32"), np.ones((3, 3), dtype="float32")
    loaded = fresh_process(
        """
        import json, sys
        import lossmith.siamese, keras, numpy as np
        network = keras.models.load_model(sys.argv[1])
        distances = network.distance(np.eye(3, dtype="float32"), np.ones((3, 3), dtype="float32"))
        print(json.dumps([network.threshold, distances.tolist()]))
        """,
        run.model,
    )
    assert loaded[0] == 0.25
    np.testing.assert_allclose(loaded[1], saved.distance(a, b), rtol=1e-6)


def test_an_unfinished_run_has_no_network(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    assert run.history() == {}
    with pytest.raises(FileNotFoundError, match="--resume"):
        run.load_network()


def test_another_model_is_not_taken_for_a_network(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(run.model)
    with pytest.raises(ValueError, match="not a SiameseNetwork"):
        run.load_network()


def test_a_broken_model_file_is_named(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    run.save_results(network(), {}, {})
    run.model.write_bytes(run.model.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be loaded"):
        run.load_network()


HOLDER = """
    import os, sys
    from pathlib import Path
    from lossmith.siamese.runs import RunFolder

    run = RunFolder.open(Path(sys.argv[1]))
    with run.held():
        print("[]", flush=True)
        if sys.argv[2] == "dies":
            os._exit(0)
"""


def test_one_process_at_a_time_trains_in_a_run_folder(
    tmp_path: Path, fresh_process: Callable[..., Any]
) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    with run.held(), pytest.raises(pytest.fail.Exception, match="Another process is training in"):
        fresh_process(HOLDER, run.path, "ends")
    fresh_process(HOLDER, run.path, "dies")
    with run.held():
        assert [file.name for file in run.path.iterdir()] == ["config.json"]
