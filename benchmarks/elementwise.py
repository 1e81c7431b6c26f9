"""Element-wise losses, value and gradient: lossmith against Keras, each backend and memory itself.

    python benchmarks/elementwise.py                     # all backends, one after the other
    python benchmarks/elementwise.py --backend jax --quick
    python benchmarks/elementwise.py --json out.json

Each backend runs in a process of its own. Values and gradients are compared before anything is
timed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _measure import Effort, best, clock_for, environment, markdown, measure, memory_limits, pin_to
from _measure import ratio as ratio_of

BACKENDS = ("jax", "tensorflow", "torch")
PACKAGES = ("keras", "jax", "optax", "tensorflow-cpu", "tensorflow", "torch")
N = 10**6
SHAPES = ((N,), (N, 1), (1000, 1000))
STEP_SHAPE = (64, 1)


def main() -> None:
    options = _options()
    if options.worker:
        Path(options.json).write_text(json.dumps(_run_here(options)), encoding="utf-8")
        return
    results = [_run_in_a_process(backend, options) for backend in options.backend]
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--losses", nargs="+", default=None, help="default: all of them")
    parser.add_argument("--quick", action="store_true", help="Huber only, few rounds")
    parser.add_argument("--cores", type=int, default=1, help="1: CPU time; more: wall time")
    parser.add_argument("--json", default=None, help="where to write every round of every case")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_in_a_process(backend: str, options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [sys.executable, __file__, "--worker", "--json", str(out)]
        command += ["--backend", backend, "--cores", str(options.cores)]
        command += ["--quick"] if options.quick else []
        command += ["--losses", *options.losses] if options.losses else []
        variables = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run(command, check=True, env={**os.environ, **variables})
        result = json.loads(out.read_text(encoding="utf-8"))
    print(report(result), flush=True)
    return result


def _run_here(options: argparse.Namespace) -> dict[str, Any]:
    pin_to(options.cores)
    import _peers

    names = options.losses or (["huber"] if options.quick else list(_peers.OURS))
    effort = Effort(rounds=5, repeats=5) if options.quick else Effort(rounds=12, repeats=5)
    clock = clock_for(options.cores)
    groups = []
    for name in names:
        for shape in SHAPES:
            cases = {**_cases(name, shape), **memory_limits(N)}
            groups.append(_group("full", name, shape, measure(cases, effort, clock)))
    many = Effort(rounds=effort.rounds, repeats=10 * effort.repeats)
    contract = measure(_cases(names[0], STEP_SHAPE), many, clock)
    groups.append(_group("contract", names[0], STEP_SHAPE, contract))
    groups.append(_group("training", "huber", STEP_SHAPE, measure(_training_steps(), many, clock)))
    return {
        "backend": options.backend[0],
        "environment": environment(PACKAGES, options.cores),
        "groups": groups,
    }


def _group(kind: str, loss: str, shape: tuple[int, ...], rounds: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "loss": loss, "shape": list(shape), "rounds": rounds}


def _cases(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Every implementation of a loss in every mode, keyed `"mode: implementation"`."""
    import _peers
    import _steps

    generator = np.random.default_rng(0)
    y_true = generator.normal(size=shape).astype("float32")
    y_pred = generator.normal(scale=2.0, size=shape).astype("float32")
    cases: dict[str, Any] = {}
    expected: tuple[np.ndarray, np.ndarray] | None = None
    for implementation, loss in _peers.implementations(name).items():
        for mode, step in _steps.steps(loss, y_true, y_pred).items():
            got = tuple(np.asarray(part) for part in step())
            expected = expected or got
            _compare(f"{name} {shape} {mode} {implementation}", got, expected)
            cases[f"{mode}: {implementation}"] = step
    return cases


def _compare(case: str, got: Any, expected: Any) -> None:
    # TensorFlow's XLA adds a column of a million float32 up one by one: 4e-4 off, in every form.
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-3, err_msg=f"value of {case}")
    scale = float(np.abs(expected[1]).max())
    np.testing.assert_allclose(
        got[1], expected[1], rtol=1e-4, atol=1e-5 * scale, err_msg=f"gradient of {case}"
    )


def _training_steps() -> dict[str, Any]:
    """One `train_on_batch` of a small network with Keras' Huber, and with lossmith's."""
    import keras

    import lossmith as ls

    generator = np.random.default_rng(0)
    x = generator.normal(size=(64, 8)).astype("float32")
    y = generator.normal(size=(64, 1)).astype("float32")

    def step(loss: Any) -> Any:
        layers = [keras.layers.Dense(32, activation="relu"), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((8,)), *layers])
        model.compile(optimizer="sgd", loss=loss)
        return lambda: model.train_on_batch(x, y)

    return {"Keras": step(keras.losses.Huber()), "lossmith": step(ls.losses.huber)}


def report(result: dict[str, Any]) -> str:
    """The tables of one backend."""
    by_kind: dict[str, list[dict[str, Any]]] = {"full": [], "contract": [], "training": []}
    for group in result["groups"]:
        by_kind[group["kind"]].append(group)
    return "\n\n".join(
        [
            f"## {result['backend']}",
            f"({result['environment']})",
            "A million values. Cells after `lossmith` are lossmith's time over the other's, "
            "[quartiles over the rounds]; below 1, lossmith is faster.",
            _table(by_kind["full"], unit=1e3, label="ms"),
            "A batch of 64: what a step costs before the arithmetic matters.",
            _table(by_kind["contract"], unit=1e6, label="µs"),
            _training_line(by_kind["training"][0]),
        ]
    )


def _table(groups: list[dict[str, Any]], unit: float, label: str) -> str:
    limits = [limit for limit in ("triad", "copy") if limit in groups[0]["rounds"]]
    header = ["loss", "shape", "mode", f"lossmith, {label}"]
    header += [f"/ {limit}" for limit in limits]
    header += ["/ Keras", "/ the backend's own", "/ plain formula"]
    rows = []
    for group in groups:
        modes = dict.fromkeys(case.split(": ")[0] for case in group["rounds"] if ": " in case)
        rows += [_row(group, mode, limits, unit) for mode in modes]
    return markdown(header, rows)


def _row(group: dict[str, Any], mode: str, limits: list[str], unit: float) -> list[str]:
    rounds = group["rounds"]
    ours = rounds[f"{mode}: lossmith"]
    others = [case.split(": ")[1] for case in rounds if case.startswith(f"{mode}: ")]
    own = [name for name in others if name not in ("lossmith", "Keras", "formula")]
    row = [group["loss"], str(tuple(group["shape"])), mode, f"{best(ours) * unit:.3g}"]
    row += [f"{best(ours) / best(rounds[limit]):.1f}" for limit in limits]
    row.append(_ratio(rounds, mode, "Keras"))
    row.append("; ".join(f"{name} {_ratio(rounds, mode, name)}" for name in own) or "-")
    return [*row, _ratio(rounds, mode, "formula")]


def _ratio(rounds: dict[str, Any], mode: str, other: str) -> str:
    if f"{mode}: {other}" not in rounds:
        return "-"
    middle, lower, upper = ratio_of(rounds[f"{mode}: lossmith"], rounds[f"{mode}: {other}"])
    return f"{middle:.2f} [{lower:.2f}, {upper:.2f}]"


def _training_line(group: dict[str, Any]) -> str:
    rounds = group["rounds"]
    middle, lower, upper = ratio_of(rounds["lossmith"], rounds["Keras"])
    speeds = ", ".join(f"{name} {1 / best(times):.0f} steps/s" for name, times in rounds.items())
    return (
        f"`train_on_batch`, 32 units, batch 64, Huber: {speeds}; "
        f"lossmith's time over Keras' {middle:.2f} [{lower:.2f}, {upper:.2f}]."
    )


if __name__ == "__main__":
    main()
