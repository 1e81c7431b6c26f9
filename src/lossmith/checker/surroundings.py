"""What a loss must leave alone: settings of the program, its random generators, its output."""

import contextlib
import io
import os
import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lossmith.checker import rules
from lossmith.checker.report import Evidence, Finding
from lossmith.core import backend
from lossmith.core.backend import keras

Snapshot = Mapping[str, Any]


def snapshot() -> Snapshot:
    """The settings of this process that a loss has no business to change, by name."""
    found: dict[str, Any] = {
        "keras.config.floatx()": keras.config.floatx(),
        "keras.config.epsilon()": keras.config.epsilon(),
        "keras.config.image_data_format()": keras.config.image_data_format(),
        "keras.config.dtype_policy()": keras.config.dtype_policy().name,
        "the working directory": os.getcwd(),  # noqa: PTH109 - compared as text
        "the recursion limit": sys.getrecursionlimit(),
        "NumPy's error handling": np.geterr(),
        **backend.global_settings(),
    }
    return {**found, **{f"os.environ[{name!r}]": value for name, value in os.environ.items()}}


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """Each setting that differs, in words."""
    absent = "not set"
    names = [*before, *(name for name in after if name not in before)]
    return [
        f"{name} from {before.get(name, absent)!r} to {after.get(name, absent)!r}"
        for name in names
        if before.get(name, absent) != after.get(name, absent)
    ]


def watch(call: Callable[[], Any], changed: list[str]) -> list[Finding]:
    """Findings about what a loss leaves behind.

    Args:
        call: calls the loss; watched for what it prints and which random generators it seeds.
        changed: the settings that earlier calls changed, as `differences` words them.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        reseeded = _reseeded(call)
    left = [f"changes {each}" for each in changed] + [f"seeds {each}" for each in reseeded]
    findings = []
    if left:
        findings.append(
            rules.finding(
                rules.CHANGES_SURROUNDINGS,
                f"Calling the loss {'; '.join(left)}.",
                Evidence(keras.backend.backend(), "eager", note="compared before and after calls"),
                consequence="Everything that runs after the first step is affected: layers, "
                "metrics and data loading behave otherwise than they were written, and shuffling "
                "or augmentation may repeat the same numbers in every step.",
                remedy="Set what the program needs, seeds included, once, where it starts.",
            )
        )
    if printed.getvalue().strip():
        findings.append(_printing(printed.getvalue().strip().splitlines()[0][:120]))
    return findings


def _printing(first: str) -> Finding:
    return rules.finding(
        rules.PRINTS,
        f"The loss prints when it is called: {first!r}.",
        Evidence(keras.backend.backend(), "eager", note=first),
        consequence="In a compiled step it prints once, while the step is traced, and never a "
        "value.",
        remedy="Watch values with metrics or callbacks.",
    )


def _reseeded(call: Callable[[], Any]) -> list[str]:
    """The generators whose state after the call does not depend on that before."""
    generators: dict[str, tuple[Any, Any, Any]] = {
        "Python's random": (random.seed, random.getstate, random.setstate),
        "NumPy's global generator": (np.random.seed, _numpy_state, np.random.set_state),
        **backend.global_generators(),
    }
    kept = {name: state() for name, (_, state, _) in generators.items()}
    after = []
    for seed in (1, 2):
        for start, _, _ in generators.values():
            start(seed)
        call()
        after.append({name: state() for name, (_, state, _) in generators.items()})
    for name, (_, _, put_back) in generators.items():
        put_back(kept[name])
    return [name for name in generators if after[0][name] == after[1][name]]


def _numpy_state() -> tuple[Any, ...]:
    state: Any = np.random.get_state()
    return (state[0], tuple(state[1].tolist()), *state[2:])
