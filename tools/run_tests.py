"""Run lint, type check and the test suite, each Keras backend in a process of its own.

Without arguments everything runs. A selection (`--backend`, `-k` or paths) runs tests only.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BACKENDS = ("jax", "tensorflow", "torch")
CONTRACT = "tests/contract"
SIDE_BY_SIDE = 2
SECONDS_BETWEEN_PROGRESS = 10
PYTEST_FOUND_NO_TESTS = 5
INTERRUPTED = 130
# Most programs of the suite run once: to compile them well takes longer than to run them.
QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)


@dataclass(frozen=True)
class Selection:
    """What the caller asked for."""

    backends: tuple[str, ...]
    keyword: str | None
    paths: tuple[str, ...]

    @property
    def is_everything(self) -> bool:
        return self.backends == BACKENDS and not self.keyword and not self.paths


@dataclass(frozen=True)
class Job:
    """A command, and where pytest reports its counts if it is pytest."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    junit: Path | None = None
    may_be_empty: bool = False


@dataclass(frozen=True)
class Result:
    """What came of a job."""

    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    output: str


def parse_selection(arguments: Sequence[str]) -> Selection:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--backend", action="append", choices=BACKENDS, help="only this one; may be repeated"
    )
    parser.add_argument("-k", dest="keyword", help="only tests whose names match (as in pytest)")
    parser.add_argument("paths", nargs="*", help="only these files, folders or test ids")
    given = parser.parse_args(arguments)
    return Selection(tuple(given.backend or BACKENDS), given.keyword, tuple(given.paths))


def static_jobs() -> list[Job]:
    python = sys.executable
    return [
        Job("ruff check", (python, "-m", "ruff", "check", ".")),
        Job("ruff format", (python, "-m", "ruff", "format", "--check", ".")),
        Job("mypy", (python, "-m", "mypy")),
    ]


def test_jobs(selection: Selection, reports: Path) -> list[Job]:
    def job(name: str, backend: str, marker: str, *paths: str) -> Job:
        junit = reports / f"{name.replace(' ', '-')}.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marker]
        command += [f"--junitxml={junit}"]
        if selection.keyword:
            command += ["-k", selection.keyword]
        command += selection.paths or paths
        return Job(
            name,
            tuple(command),
            {"KERAS_BACKEND": backend},
            junit,
            may_be_empty=not selection.is_everything,
        )

    of_backends = [
        job(backend, backend, "not backend_free", "tests", "src", f"--ignore={CONTRACT}")
        for backend in selection.backends
    ]
    # A third of a backend's tests, and so a job of its own.
    contracts = [
        job(f"{backend} contract", backend, "not backend_free", CONTRACT)
        for backend in selection.backends
        if not selection.paths
    ]
    free = job("backend-free", selection.backends[0], "backend_free", "tests")
    # The longest come first, so that no process is left to run alone at the end.
    return [*of_backends, *contracts, free]


def base_environment() -> dict[str, str]:
    """Share the cores among the processes; whatever is set outside wins."""
    threads = str(max(1, (os.cpu_count() or 1) // SIDE_BY_SIDE))
    return {
        "JAX_PLATFORMS": "cpu",
        "MPLBACKEND": "Agg",
        "NPROC": threads,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTEROP_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "XLA_FLAGS": " ".join(QUICK_TO_COMPILE),
        **os.environ,
        "PYTHONUNBUFFERED": "1",
    }


def run(job: Job) -> Result:
    start = time.monotonic()
    say(f"{job.name}: started")
    process = subprocess.Popen(
        job.command,
        cwd=ROOT,
        env=base_environment() | job.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    output = read_showing_progress(process, job.name, start)
    passed, failed, skipped = count(job, process.wait())
    return Result(job.name, passed, failed, skipped, time.monotonic() - start, output)


def read_showing_progress(process: subprocess.Popen[str], name: str, start: float) -> str:
    if process.stdout is None:
        raise RuntimeError(f"The output of {name} is not read through a pipe.")
    lines = []
    said = start
    for line in process.stdout:
        lines.append(line)
        percent = re.search(r"\[ *(\d+)%\]$", line.rstrip())
        now = time.monotonic()
        if percent and now - said >= SECONDS_BETWEEN_PROGRESS:
            said = now
            say(f"{name}: {percent[1]} % after {now - start:.0f} s")
    return "".join(lines)


def count(job: Job, exit_status: int) -> tuple[int, int, int]:
    """Count passed, failed and skipped; a job that is not pytest counts as one test."""
    if job.junit is None:
        return (1, 0, 0) if exit_status == 0 else (0, 1, 0)
    if exit_status == PYTEST_FOUND_NO_TESTS and job.may_be_empty:
        return 0, 0, 0
    tests = failed = skipped = 0
    if job.junit.exists():
        for suite in ElementTree.parse(job.junit).getroot().iter("testsuite"):
            tests += int(suite.get("tests", 0))
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
    passed = max(0, tests - failed - skipped)
    if exit_status != 0:
        failed = max(1, failed)
    return passed, failed, skipped


def show(result: Result) -> None:
    verdict = "FAILED" if result.failed else "ok"
    say(f"\n===== {result.name}: {verdict} after {result.seconds:.0f} s =====\n{result.output}")


def summarize(results: Sequence[Result]) -> str:
    rows = [f"{'':20}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}"]
    rows += [
        f"{result.name:20}{result.passed:8}{result.failed:8}{result.skipped:8}{result.seconds:9.0f}"
        for result in results
    ]
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    return "\n".join([*rows, "", f"{passed} passed, {failed} failed"])


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: Sequence[str]) -> int:
    selection = parse_selection(arguments)
    with tempfile.TemporaryDirectory() as reports, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        jobs = test_jobs(selection, Path(reports))
        jobs += static_jobs() if selection.is_everything else []
        running = [pool.submit(run, job) for job in jobs]
        try:
            for finished in as_completed(running):
                show(finished.result())
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            return INTERRUPTED
        results = [future.result() for future in running]
    say(summarize(results))
    nothing_ran = not any(result.passed for result in results)
    return int(nothing_ran or any(result.failed for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
