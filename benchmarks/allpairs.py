"""Losses over all pairs: lossmith against dense formulas and the bare matrix products.

    python benchmarks/allpairs.py                            # all backends, B = 1024 and 4096
    python benchmarks/allpairs.py --backend jax --batch 8192 --losses contrastive
    python benchmarks/allpairs.py --json out.json --no-memory

Value and gradient in the embeddings, 128 features, 10 classes. Each backend runs in a process of
its own, and each peak of memory in another one. Values are compared before anything is timed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _measure import Effort, best, clock_for, environment, markdown, measure, pin_to
from _measure import ratio as ratio_of

BACKENDS = ("jax", "tensorflow", "torch")
PACKAGES = ("keras", "jax", "tensorflow-cpu", "tensorflow", "torch")
LOSSES = ("contrastive", "supcon", "triplet, hardest", "triplet, all")
MODES = {"jax": ("jit",), "tensorflow": ("function, XLA",), "torch": ("eager", "compiled")}
SMALL = 256
"""The batch whose peak of memory stands for what does not grow with the batch."""


def main() -> None:
    options = _options()
    if options.peak:
        print(_peak(*options.peak))
    elif options.worker:
        Path(options.json).write_text(json.dumps(_run_here(options)), encoding="utf-8")
    else:
        results = [_run_in_a_process(backend, options) for backend in options.backend]
        if options.json:
            Path(options.json).write_text(json.dumps(results, indent=1), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    parser.add_argument("--batch", nargs="+", type=int, default=[1024, 4096])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=1, help="1: CPU time; more: wall time")
    parser.add_argument("--no-memory", action="store_true", help="no peaks of memory")
    parser.add_argument("--json", default=None, help="where to write every round of every case")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_in_a_process(backend: str, options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        passed = ["--worker", "--json", str(out), "--backend", backend, "--losses", *options.losses]
        passed += ["--batch", *map(str, options.batch), "--rounds", str(options.rounds)]
        passed += ["--repeats", str(options.repeats), "--cores", str(options.cores)]
        _call(backend, passed)
        result = json.loads(out.read_text(encoding="utf-8"))
    if not options.no_memory:
        for group in result["groups"]:
            group["memory"] = _memory(backend, group)
    print(report(result), flush=True)
    return result


def _call(backend: str, arguments: list[str]) -> str:
    variables = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(
        command, check=True, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True
    ).stdout


def _memory(backend: str, group: dict[str, Any]) -> dict[str, float]:
    """MiB that each case needs at this batch more than at a small one."""

    def peak(case: str, batch: int) -> float:
        return float(_call(backend, ["--peak", group["loss"], case, str(batch)]).split()[-1])

    cases = [case for case in group["rounds"] if case != "products"]
    return {case: peak(case, group["batch"]) - peak(case, SMALL) for case in cases}


def _peak(loss: str, case: str, batch: str) -> float:
    step = _cases(loss, int(batch))[case]
    for _ in range(3):
        step()
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _run_here(options: argparse.Namespace) -> dict[str, Any]:
    pin_to(options.cores)
    effort = Effort(rounds=options.rounds, repeats=options.repeats)
    clock = clock_for(options.cores)
    groups = []
    for batch in options.batch:
        for name in options.losses:
            cases = _cases(name, batch)
            _check_values(name, cases)
            rounds = measure({**cases, "products": _products(batch)}, effort, clock)
            groups.append({"loss": name, "batch": batch, "rounds": rounds})
    return {
        "backend": options.backend[0],
        "environment": environment(PACKAGES, options.cores),
        "groups": groups,
    }


def _batch(size: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    embeddings = generator.normal(size=(size, 128)).astype("float32")
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return generator.integers(0, 10, size), embeddings


def _cases(name: str, size: int) -> dict[str, Any]:
    """The steps of both implementations in the modes that count, keyed `"mode: whose"`."""
    import _dense
    import _steps
    import keras

    losses = {"lossmith": _dense.OURS[name]}
    if name in _dense.DENSE:
        losses["dense"] = _dense.DENSE[name]
    modes = MODES[keras.backend.backend()]
    return {
        f"{mode}: {whose}": step
        for whose, loss in losses.items()
        for mode, step in _steps.steps(loss, *_batch(size)).items()
        if mode in modes
    }


def _products(size: int) -> Any:
    import _dense

    return _dense.two_products(_batch(size)[1])


def _check_values(name: str, cases: dict[str, Any]) -> None:
    results = {case: [np.asarray(part) for part in step()] for case, step in cases.items()}
    value, gradient = next(iter(results.values()))
    for case, got in results.items():
        np.testing.assert_allclose(got[0], value, rtol=1e-3, err_msg=f"value, {name}, {case}")
        scale = float(np.abs(gradient).max())
        np.testing.assert_allclose(
            got[1], gradient, rtol=1e-2, atol=1e-3 * scale, err_msg=f"gradient, {name}, {case}"
        )


def report(result: dict[str, Any]) -> str:
    """The table of one backend."""
    header = ["loss", "B", "mode", "lossmith, ms", "/ two products", "/ dense"]
    header += ["extra MiB", "dense, MiB"]
    rows = [_row(group, mode) for group in result["groups"] for mode in MODES[result["backend"]]]
    return f"## {result['backend']}\n\n({result['environment']})\n\n{markdown(header, rows)}"


def _row(group: dict[str, Any], mode: str) -> list[str]:
    rounds, memory = group["rounds"], group.get("memory", {})
    ours = rounds[f"{mode}: lossmith"]
    row = [group["loss"], str(group["batch"]), mode, f"{best(ours) * 1e3:.3g}"]
    for other in ("products", f"{mode}: dense"):
        row.append(_ratio(ours, rounds[other]) if other in rounds else "-")
    for whose in ("lossmith", "dense"):
        extra = memory.get(f"{mode}: {whose}")
        row.append("-" if extra is None else f"{extra:.0f}")
    return row


def _ratio(ours: list[float], others: list[float]) -> str:
    middle, lower, upper = ratio_of(ours, others)
    return f"{middle:.2f} [{lower:.2f}, {upper:.2f}]"


if __name__ == "__main__":
    main()
