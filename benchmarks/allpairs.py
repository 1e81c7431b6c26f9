"""Losses over all pairs: lossmith, other libraries and dense formulas beside the matrix products.

    python benchmarks/allpairs.py --docs docs                  # everything: table and plot
    python benchmarks/allpairs.py --backend jax --batch 8192 --losses contrastive
    python benchmarks/allpairs.py --json out.json --no-memory

Value and gradient in the embeddings, 128 features, 8 items of each class; "triplet, all" has 10
classes, and in "contrastive, collapsed" all pairs are near. Each backend runs in a process of its
own, and the memory of each in another one. Values are compared before anything is timed.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
from _measure import Effort, clock_for, environment, markdown, measure, memory_taken, pin_to
from _pair_plot import plot

BACKENDS = ("jax", "tensorflow", "torch")
PACKAGES = ("keras", "jax", "tensorflow-cpu", "tensorflow", "torch")
LOSSES = (
    "contrastive",
    "supcon",
    "nt-xent",
    "triplet, hardest",
    "multi-similarity",
    "triplet, all",
    "contrastive, collapsed",
)
MODES = {
    "jax": ("jit",),
    "tensorflow": ("function, XLA", "function"),
    "torch": ("eager", "compiled"),
}
PEERS = ("PML", "ST")
OTHERS = ("dense", *PEERS)
FEATURES = 128


def main() -> None:
    options = _options()
    if options.memory_of:
        print(_memory_of(*options.memory_of))
    elif options.worker:
        _run_here(options, Path(options.json))
    else:
        results = (
            _read(options.read)
            if options.read
            else [_run_in_a_process(backend, options) for backend in options.backend]
        )
        if options.json:
            Path(options.json).write_text(json.dumps(results, indent=1), encoding="utf-8")
        if options.docs:
            _document(results, Path(options.docs))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    parser.add_argument("--batch", nargs="+", type=int, default=[1024, 4096, 8192, 16384])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2, help="1: CPU time; more: wall time")
    parser.add_argument("--no-memory", action="store_true", help="no memory")
    parser.add_argument("--json", default=None, help="where to write every round of every case")
    parser.add_argument(
        "--memory",
        nargs="+",
        type=int,
        default=[16384],
        help="the batches of which the memory is measured",
    )
    parser.add_argument("--read", nargs="+", help="files of earlier runs, instead of measuring")
    parser.add_argument("--docs", default=None, help="a folder for the table and the plot")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _read(files: list[str]) -> list[dict[str, Any]]:
    """The results of several runs, those of a backend put together."""
    merged: dict[str, dict[str, Any]] = {}
    for file in files:
        for result in json.loads(Path(file).read_text(encoding="utf-8")):
            known = merged.setdefault(result["backend"], {**result, "groups": []})
            known["groups"] += result["groups"]
    for result in merged.values():
        result["groups"].sort(key=lambda each: (LOSSES.index(each["loss"]), each["batch"]))
    return list(merged.values())


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
            if group["batch"] in options.memory:
                group["memory"] = _memory(backend, group)
    print(report(result), flush=True)
    return result


def _call(backend: str, arguments: list[str], **variables: str) -> str:
    variables |= {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(
        command, check=True, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True
    ).stdout


def _memory(backend: str, group: dict[str, Any]) -> dict[str, float]:
    """MiB that a step takes beside its inputs and the gradient."""
    cases = [case for case in group["rounds"] if case.endswith("lossmith")]
    return {case: _taken(backend, group["loss"], case, group["batch"]) for case in cases}


def _taken(backend: str, loss: str, case: str, batch: int) -> float:
    """What XLA sets aside, as it compiles in more memory than it runs in; else a step's rise."""
    if case.startswith(("jit", "function, XLA")):
        return _set_aside(backend, loss, case, batch)
    # Arrays that are freed are given back at once, and not kept for later by malloc.
    given_back = {"MALLOC_MMAP_THRESHOLD_": str(2**16)}
    taken = float(_call(backend, ["--memory-of", loss, case, str(batch)], **given_back))
    return taken - 4 * FEATURES * batch / 2**20


def _set_aside(backend: str, loss: str, case: str, batch: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        flags = os.environ.get("XLA_FLAGS", "")
        flags += f" --xla_dump_to={folder} --xla_dump_hlo_as_text"
        _call(backend, ["--memory-of", loss, case, str(batch)], XLA_FLAGS=flags)
        plans = [path.read_text() for path in Path(folder).glob("*buffer-assignment.txt")]
    sizes = [int(size) for plan in plans for size in re.findall(r"size (\d+), preallocated-", plan)]
    return max(sizes) / 2**20


def _memory_of(loss: str, case: str, batch: str) -> float:
    return memory_taken(_cases(loss, int(batch))[case])


def _run_here(options: argparse.Namespace, out: Path) -> None:
    """Measure, and write after each group what has been measured so far."""
    pin_to(options.cores)
    effort = Effort(rounds=options.rounds, repeats=options.repeats)
    clock = clock_for(options.cores)
    groups: list[dict[str, Any]] = []
    result = {
        "backend": options.backend[0],
        "environment": environment(PACKAGES, options.cores),
        "groups": groups,
    }
    for batch in options.batch:
        for name in options.losses:
            cases = _cases(name, batch)
            _check_values(name, cases)
            print(f"{options.backend[0]}, {name}, B = {batch}", file=sys.stderr, flush=True)
            rounds = measure({**cases, **_products(batch)}, effort, clock)
            groups.append({"loss": name, "batch": batch, "rounds": rounds})
            out.write_text(json.dumps(result), encoding="utf-8")


def _batch(name: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    embeddings = generator.normal(size=(size, FEATURES)).astype("float32")
    if name.endswith("collapsed"):
        embeddings = 1e-3 * embeddings + generator.normal(size=FEATURES).astype("float32")
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    ids = generator.integers(0, 10, size) if name == "triplet, all" else np.arange(size) // 8
    return ids, embeddings


def _cases(name: str, size: int) -> dict[str, Any]:
    """The steps of all implementations in the modes that count, keyed `"mode: whose"`."""
    import _dense
    import _pair_peers
    import _steps
    import keras

    backend, (loss, *_) = keras.backend.backend(), name.split(", collapsed")
    batch = _batch(name, size)
    losses = {"lossmith": _dense.OURS[loss]}
    if loss in _dense.DENSE and size <= _dense.LARGEST and loss == name:
        losses["dense"] = _dense.DENSE[loss]
    cases = {
        f"{mode}: {whose}": step
        for whose, formula in losses.items()
        for mode, step in _steps.steps(formula, *batch).items()
        if mode in MODES[backend]
    }
    if backend == "torch" and size <= _pair_peers.LARGEST.get(loss, 0) and loss == name:
        for whose, formula in _pair_peers.peers(loss).items():
            cases[f"eager: {whose}"] = _steps.steps(formula, *batch)["eager"]
    return cases


def _products(size: int) -> dict[str, Any]:
    import _dense

    steps = _dense.two_products(_batch("contrastive", size)[1])
    return {f"{mode}: products": step for mode, step in steps.items()}


def _check_values(name: str, cases: dict[str, Any]) -> None:
    """Libraries differ in what they divide by, and are not compared."""
    comparable = {case: step for case, step in cases.items() if case.split(": ")[1] not in PEERS}
    results = {case: [np.asarray(part) for part in step()] for case, step in comparable.items()}
    value, gradient = next(iter(results.values()))
    for case, got in results.items():
        np.testing.assert_allclose(got[0], value, rtol=1e-3, err_msg=f"value, {name}, {case}")
        scale = float(np.abs(gradient).max())
        np.testing.assert_allclose(
            got[1], gradient, rtol=1e-2, atol=1e-3 * scale, err_msg=f"gradient, {name}, {case}"
        )


def report(result: dict[str, Any]) -> str:
    """The table of one backend."""
    header = ["loss", "B", "mode", "lossmith, ms", "/ two products"]
    header += [f"{other}, times lossmith" for other in OTHERS] + ["extra MiB"]
    rows = [
        _row(group, mode)
        for group in result["groups"]
        for mode in MODES[result["backend"]]
        if f"{mode}: lossmith" in group["rounds"]
    ]
    return f"### {result['backend']}\n\n({result['environment']})\n\n{markdown(header, rows)}"


def _row(group: dict[str, Any], mode: str) -> list[str]:
    rounds, memory = group["rounds"], group.get("memory", {})
    ours = rounds[f"{mode}: lossmith"]
    row = [group["loss"], str(group["batch"]), mode, f"{median(ours) * 1e3:.3g}"]
    row.append(_ratio(ours, rounds[f"{mode}: products"]))
    for other in OTHERS:
        case = f"{mode}: {other}"
        row.append(_ratio(rounds[case], ours) if case in rounds else "-")
    extra = memory.get(f"{mode}: lossmith")
    return [*row, "-" if extra is None else f"{extra:.0f}"]


def _ratio(first: list[float], second: list[float]) -> str:
    lower, _, upper = quantiles([a / b for a, b in zip(first, second, strict=True)], n=4)
    return f"{median(first) / median(second):.2f} [{lower:.2f}, {upper:.2f}]"


def _document(results: list[dict[str, Any]], folder: Path) -> None:
    """Write the tables, and a plot of the times over the products."""
    tables = "\n\n".join(report(result) for result in results)
    (folder / "allpairs-measured.md").write_text(
        "# Losses over all pairs: measured\n\n"
        "Written by `benchmarks/allpairs.py`; [allpairs.md](allpairs.md) says how to read it.\n\n"
        f"{tables}\n",
        encoding="utf-8",
    )
    plot(results, folder / "allpairs-measured.svg")


if __name__ == "__main__":
    main()
