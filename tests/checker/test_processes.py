import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lossmith.checker import children, rules
from lossmith.checker.children import children_kept
from lossmith.checker.processes import Probed, find_losses, place_of_hang, probe_backends
from lossmith.checker.settings import Settings
from lossmith.checker.subject import SubjectError, describe, parse
from lossmith.checker.wire import settings_to_json
from lossmith.core import installed_backends

pytestmark = pytest.mark.backend_free

SOURCE = """
import os
import random
import time

import keras
from keras import ops


def squared(y_true, y_pred):  # lossmith: ignore[LSM602] registered elsewhere
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def hangs(y_true, y_pred):
    while True:
        time.sleep(0.01)


def kills(y_true, y_pred):
    os._exit(3)


def exits(y_true, y_pred):
    raise SystemExit(4)


def interrupts(y_true, y_pred):
    raise KeyboardInterrupt


def meddles(y_true, y_pred):
    keras.config.set_floatx("float64")
    os.environ["LOSSMITH_MEDDLED"] = "1"
    random.seed(0)
    print("meddling")
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def reads(y_true, y_pred):
    input("a number? ")
    return ops.mean(ops.square(y_true - y_pred), axis=-1)
"""
OF_ONE_FRAMEWORK = {
    "jax": """
import jax.numpy as jnp


def squared(y_true, y_pred):
    return jnp.mean(jnp.square(y_true - y_pred), axis=-1)
""",
    "tensorflow": """
import tensorflow as tf


def squared(y_true, y_pred):
    return tf.reduce_mean(tf.square(y_true - y_pred), axis=-1)
""",
    "torch": """
import torch


def squared(y_true, y_pred):
    return torch.mean(torch.square(y_true - y_pred), dim=-1)
""",
}
ONE = [min(installed_backends())]  # jax, the quickest to import, if it is there


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("losses") / "odd_losses.py"
    file.write_text(SOURCE, encoding="utf-8")
    return file


@pytest.fixture(scope="module", autouse=True)
def _children() -> Iterator[None]:
    with children_kept():
        yield


def probe(losses: Path, name: str, *backends: str, time_limit: float = 60.0) -> Probed:
    settings = Settings(target="regression", time_limit=time_limit)
    return probe_backends(parse(f"{losses}:{name}"), settings, backends or ONE)


def codes(probed: Probed) -> list[str]:
    return [finding.rule.code for finding in probed.findings]


def test_a_loss_of_one_framework_is_judged_in_full_on_its_backend(tmp_path: Path) -> None:
    (own,) = ONE
    (tmp_path / "own_losses.py").write_text(OF_ONE_FRAMEWORK[own], encoding="utf-8")
    probed = probe(tmp_path / "own_losses.py", "squared", *installed_backends())
    assert set(probed.results) == {own}
    assert set(probed.missing) == {*installed_backends()} - {own}
    assert probed.results[own].card.rows["convex"].value is True
    assert "variants" in probed.results[own].seconds


def test_every_installed_backend_is_seen(losses: Path) -> None:
    probed = probe(losses, "squared", *installed_backends())
    assert list(probed.results) == installed_backends()
    assert probed.missing == {}
    assert codes(probed) == [rules.NOT_LOADED.code]
    assert probed.source is not None
    assert probed.source.location.line == 10
    assert probed.source.waivers == {"LSM602": "registered elsewhere"}
    (curve,) = probed.curves
    assert curve.values[0] == pytest.approx(16.0)
    assert curve.slopes[0] == pytest.approx(-8.0)


def test_a_loss_that_hangs_is_ended_and_its_line_named(losses: Path) -> None:
    probed = probe(losses, "hangs", time_limit=1.0)
    assert codes(probed) == [rules.OUT_OF_TIME.code]
    assert "in hangs, odd_losses.py line 1" in probed.findings[0].message
    assert probed.results == {}
    assert probed.missing == {ONE[0]: "out of time"}


@pytest.mark.parametrize(
    ("name", "words"),
    [("kills", "exit code 3"), ("exits", "SystemExit(4)"), ("interrupts", "KeyboardInterrupt()")],
)
def test_a_loss_that_ends_its_process_is_told(losses: Path, name: str, words: str) -> None:
    probed = probe(losses, name)
    assert codes(probed) == [rules.PROCESS_DIED.code]
    assert words in probed.findings[0].message


def test_a_loss_that_meddles_is_told_and_does_not_harm_the_next(losses: Path) -> None:
    probed = probe(losses, "meddles")
    (told,) = (f.message for f in probed.findings if f.rule == rules.CHANGES_SURROUNDINGS)
    for words in ("keras.config.floatx()", "LOSSMITH_MEDDLED", "seeds Python's random"):
        assert words in told
    assert rules.PRINTS.code in codes(probed)
    assert codes(probe(losses, "squared")) == [rules.NOT_LOADED.code]


def test_a_loss_that_reads_its_input_gets_nothing(losses: Path) -> None:
    probed = probe(losses, "reads")
    found = {f.rule.code for f in probed.results[ONE[0]].findings}
    assert found & {rules.RAISES.code, rules.TARGET_UNFIT.code}


def test_an_object_of_this_process_is_probed(losses: Path) -> None:
    scale = 3.0

    def scaled(y_true: object, y_pred: object) -> object:
        from keras import ops

        return scale * ops.abs(y_true - y_pred)  # type: ignore[operator]

    probed = probe_backends(describe(scaled), Settings(target="regression"), ONE)
    assert list(probed.results) == ONE
    assert probed.source is not None
    assert "return scale" in probed.source.text


def test_what_no_backend_can_load_is_refused(losses: Path) -> None:
    with pytest.raises(SubjectError, match="no 'squares'"):
        probe(losses, "squares")


def test_an_import_that_does_not_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "slow_losses.py"
    file.write_text("import time\ntime.sleep(1000)\n", encoding="utf-8")
    with pytest.raises(SubjectError, match="did not finish importing within 1 s"):
        find_losses(parse(str(file)), Settings(time_limit=1.0))


def test_a_child_does_not_outlive_its_parent(tmp_path: Path) -> None:
    file, begun = tmp_path / "endless.py", tmp_path / "begun"
    file.write_text(
        "import pathlib\n\ndef endless(y_true, y_pred):\n"
        f"    pathlib.Path({str(begun)!r}).touch()\n    while True:\n        pass\n",
        encoding="utf-8",
    )
    child = children.Child(ONE[0])
    order = {
        "subject": parse(f"{file}:endless").to_dict(),
        "settings": settings_to_json(Settings("regression")),
        "folder": "",
    }
    asking = threading.Thread(target=_ask_in_vain, args=(child, order), daemon=True)
    asking.start()
    while asking.is_alive() and not begun.exists():
        time.sleep(0.05)
    assert begun.exists()
    child._stdin.close()  # as the end of the parent does
    try:
        assert child._process.wait(timeout=120) == 0
    finally:
        child.close()


def _ask_in_vain(child: children.Child, order: dict[str, Any]) -> None:
    with contextlib.suppress(children.ChildDiedError):
        child.ask("inspect", 3600, **order)


def test_the_place_of_a_hang_is_the_users_own_line() -> None:
    stack = f"""Timeout (0:00:01)!
  File "{contextlib.__file__}", line 3 in sleep
  File "/home/me/.venv/lib/site-packages/jax/core.py", line 7 in bind
  File "/home/me/losses.py", line 12 in huber
  File "{children.__file__}", line 40 in serve
"""
    assert place_of_hang(stack) == " (it was in huber, losses.py line 12)"
    assert place_of_hang(stack.replace("/home/me/losses", "<frozen>/losses")) == ""
