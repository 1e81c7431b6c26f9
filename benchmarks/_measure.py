"""Timing that holds on a shared machine: side by side, in rounds, beside the machine's own limit.

Every case of a group is timed in every round, so that what the machine does meanwhile meets all of
them. A round gives a case the median of some repetitions; the best round stands for the case, and
the quartiles of the per-round ratios say how far two cases can be told apart.
"""

import ctypes
import gc
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

Case = Callable[[], object]

_TRIAD = """
#ifdef __SSE__
#include <immintrin.h>
void triad(float *out, const float *a, const float *b, long n) {
    const __m128 scale = _mm_set1_ps(3.0f);
    for (long i = 0; i + 4 <= n; i += 4) {
        __m128 scaled = _mm_mul_ps(scale, _mm_load_ps(b + i));
        _mm_stream_ps(out + i, _mm_add_ps(_mm_load_ps(a + i), scaled));
    }
    _mm_sfence();
}
#else
void triad(float *out, const float *a, const float *b, long n) {
    for (long i = 0; i < n; i++) out[i] = a[i] + 3.0f * b[i];
}
#endif
"""


@dataclass(frozen=True)
class Effort:
    """How many rounds a group is timed, and how often each case runs in a round."""

    rounds: int
    repeats: int


def pin_to(cores: int) -> None:
    """Keep this process, and the thread pools it will make, on so many cores.

    Call it before a framework is imported. Does nothing where the system has no affinity.
    """
    if hasattr(os, "sched_setaffinity"):
        available = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, available[:cores])


def clock_for(cores: int) -> Callable[[], float]:
    """CPU time on one core, which other people's work does not count in; else wall time."""
    return time.process_time if cores == 1 else time.perf_counter


def measure(
    cases: Mapping[str, Case], effort: Effort, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Return the median seconds of each case in each round."""
    rounds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(effort.rounds):
        order = list(cases) if number % 2 == 0 else list(reversed(cases))
        for name in order:
            rounds[name].append(_median_time(cases[name], effort.repeats, clock))
    return rounds


def _median_time(case: Case, repeats: int, clock: Callable[[], float]) -> float:
    case()
    times = []
    for _ in range(repeats):
        start = clock()
        case()
        times.append(clock() - start)
    return statistics.median(times)


def best(rounds: Sequence[float]) -> float:
    """The least disturbed round."""
    return min(rounds)


def ratio(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """The ratio of the best rounds, and the quartiles of the ratio within a round."""
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    lower, _, upper = statistics.quantiles(ratios, n=4)
    return best(first) / best(second), lower, upper


def memory_limits(n: int) -> dict[str, Case]:
    """A plain copy of n float32, and a STREAM triad `out = a + 3 b` if a C compiler is there.

    The triad moves what an element-wise loss with its gradient must: two arrays in, one out.
    """
    a, b, out = (_aligned(n) for _ in range(3))
    limits: dict[str, Case] = {"copy": lambda: np.copyto(out, a)}
    triad = _compiled_triad()
    if triad is not None:
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (out, a, b)]
        limits["triad"] = lambda: triad(*pointers, ctypes.c_long(n))
    return limits


def memory_taken(case: Case) -> float:
    """MiB by which memory rises while a case runs that has run before; on Linux.

    What the process keeps from earlier runs is given back first, to be counted if it is taken
    again.
    """
    for _ in range(3):
        case()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _resident("VmRSS")
    case()
    return _resident("VmHWM") - before


def _resident(which: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{which}:")[2].split()[0]) / 2**10


def _aligned(n: int) -> np.ndarray:
    raw = np.ones(n + 16, "float32")
    return raw[-raw.ctypes.data % 64 // 4 :][:n]


def _compiled_triad() -> Callable[..., None] | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "triad.c", Path(folder) / "triad.so"
        source.write_text(_TRIAD, encoding="utf-8")
        command = [compiler, "-O3", "-shared", "-fPIC", "-o", str(library), str(source)]
        subprocess.run(command, check=True)
        return ctypes.CDLL(str(library)).triad


def environment(packages: Sequence[str], cores: int) -> str:
    """The machine and the versions a table was measured with, in one line."""
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    clock = "CPU time" if cores == 1 else "wall time"
    python = platform.python_version()
    return f"{platform.machine()}, {cores} core(s), {clock}; Python {python}, {', '.join(versions)}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
