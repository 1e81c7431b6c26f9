import os
import random
from collections.abc import Callable, Iterator

import keras
import numpy as np
import pytest

from lossmith.checker import rules, surroundings
from lossmith.core import backend


@pytest.fixture
def floatx_kept() -> Iterator[None]:
    before = keras.config.floatx()
    yield
    keras.config.set_floatx(before)


@pytest.mark.usefixtures("floatx_kept")
def test_changed_settings_are_told_with_both_values(monkeypatch: pytest.MonkeyPatch) -> None:
    before = surroundings.snapshot()
    assert surroundings.differences(before, surroundings.snapshot()) == []
    keras.config.set_floatx("float64")
    monkeypatch.setenv("LOSSMITH_TEST_SETTING", "1")
    told = surroundings.differences(before, surroundings.snapshot())
    assert "keras.config.floatx() from 'float32' to 'float64'" in told
    assert "os.environ['LOSSMITH_TEST_SETTING'] from 'not set' to '1'" in told
    assert len(told) == 2


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: random.seed(3), "Python's random"),
        (lambda: np.random.seed(3), "NumPy's global generator"),
    ],
)
def test_a_seeded_generator_is_found(call: Callable[[], None], named: str) -> None:
    (finding,) = surroundings.watch(call, [])
    assert finding.rule is rules.CHANGES_SURROUNDINGS
    assert named in finding.message


def test_the_backends_own_generator_is_looked_at_too() -> None:
    (finding,) = surroundings.watch(lambda: keras.utils.set_random_seed(3), [])
    named = ["Python's random", "NumPy's global generator", *backend.global_generators()]
    assert [name for name in named if f"seeds {name}" not in finding.message] == []
    assert len(named) == (3 if keras.backend.backend() == "torch" else 2)


def test_drawing_is_no_seeding_and_the_state_is_put_back() -> None:
    random.seed(11)
    np.random.seed(11)
    expected = random.Random(11).random(), np.random.RandomState(11).rand()
    assert surroundings.watch(lambda: (random.random(), np.random.rand()), []) == []
    assert (random.random(), np.random.rand()) == expected


def test_printing_is_told_and_kept_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    (finding,) = surroundings.watch(lambda: print("loss is", 3), [])
    assert finding.rule is rules.PRINTS
    assert "loss is 3" in finding.message
    assert capsys.readouterr().out == ""
    assert os.environ.get("LOSSMITH_TEST_SETTING") is None
