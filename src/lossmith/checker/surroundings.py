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
        **_backend_settings(),
    }
    return {**found, **{f"os.environ[{name!r}]": value for name, value in os.environ.items()}}


def _backend_settings() -> dict[str, Any]:
    name = keras.backend.backend()
    if name == "jax":
        import jax

        return {"jax_enable_x64": jax.config.jax_enable_x64}
    if name == "torch":
        import torch

        return {
            "torch.get_default_dtype()": str(torch.get_default_dtype()),
            "torch.is_grad_enabled()": torch.is_grad_enabled(),
        }
    import tensorflow as tf

    return {"tf.config.functions_run_eagerly()": tf.config.functions_run_eagerly()}


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """Each setting that differs, in words."""
    absent = "not set"
    names = [*before, *(name for name in after if name not in before)]
    return [
        f"{name} from {before.get(name, absent)!r} to {after.get(name, absent)!r}"
        for name in names
        if before.get(name, absent) != after.get(name, absent)
    ]


def settings_finding(changed: list[str]) -> Finding:
    """The finding of a loss that changed settings."""
    return rules.finding(
        rules.CHANGES_SURROUNDINGS,
        f"Calling the loss changes {'; '.join(changed)}.",
        Evidence(keras.backend.backend(), "eager", note="; ".join(changed)),
        consequence="Everything that runs after the first step sees the changed setting: other "
        "layers, metrics and data loading behave otherwise than they were written.",
        remedy="Set what the program needs once, where it starts, and not inside the loss.",
    )


def watch(call: Callable[[], Any]) -> list[Finding]:
    """Findings about what `call` prints and which global random generators it seeds."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        reseeded = _reseeded(call)
    backend = keras.backend.backend()
    findings = []
    if reseeded:
        generators = " and ".join(reseeded)
        findings.append(
            rules.finding(
                rules.CHANGES_SURROUNDINGS,
                f"Calling the loss seeds {generators}.",
                Evidence(backend, "eager", note=f"after the call {generators} starts anew"),
                consequence="Shuffling, augmentation and dropout that draw from it repeat the "
                "same numbers in every step.",
                remedy="Seed once, before training (keras.utils.set_random_seed).",
            )
        )
    if printed.getvalue().strip():
        first = printed.getvalue().strip().splitlines()[0][:120]
        findings.append(
            rules.finding(
                rules.PRINTS,
                f"The loss prints when it is called: {first!r}.",
                Evidence(backend, "eager", note=first),
                consequence="In a compiled step it prints once, while the step is traced, and "
                "never a value.",
                remedy="Use keras.callbacks or metrics to watch values.",
            )
        )
    return findings


def _reseeded(call: Callable[[], Any]) -> list[str]:
    """The generators whose state after the call does not depend on that before."""
    generators: dict[str, tuple[Any, Any, Any]] = {
        "Python's random": (random.seed, random.getstate, random.setstate),
        "NumPy's global generator": (np.random.seed, _numpy_state, np.random.set_state),
    }
    if keras.backend.backend() == "torch":
        import torch

        generators["torch's global generator"] = (
            torch.manual_seed,
            lambda: tuple(torch.get_rng_state().tolist()),
            lambda state: torch.set_rng_state(torch.tensor(state, dtype=torch.uint8)),
        )
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
