"""What the checker catches, what it leaves alone, and how long that takes.

    python benchmarks/checker.py                        # the corpus, all backends side by side
    python benchmarks/checker.py --backend jax --cases B W2
    python benchmarks/checker.py --mutants              # mutation score of correct losses, slow
    python benchmarks/checker.py --json out.json

Recall is counted by class of bug over the wrong losses of `tests/checker/corpus`, precision over
its correct ones, the mutation score over one-line changes of correct losses. A bug counts as
caught when an error or a warning has one of the rules that name its cause.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
BACKENDS = ("jax", "tensorflow", "torch")


@dataclass(frozen=True)
class Outcome:
    """What came of one case: the verdict, the findings and the time of each step."""

    id: str
    group: str
    confidence: str
    verdict: str
    findings: list[tuple[str, str, str]]
    wall: float
    seconds: Mapping[str, float] = field(default_factory=dict)


def main() -> None:
    options = _options()
    if "KERAS_BACKEND" not in os.environ:
        os.environ["KERAS_BACKEND"] = options.backend[0]
    results: dict[str, Any] = {}
    if options.mutants:
        results["mutants"] = _mutation(options.cases)
    else:
        wrong, correct = _corpus(options.cases, options.backend)
        _print_recall(wrong)
        _print_precision(correct)
        _print_time([*wrong, *correct])
        results = {"wrong": [vars(o) for o in wrong], "correct": [vars(o) for o in correct]}
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--cases", nargs="+", default=[""], help="identifiers, or their beginnings")
    parser.add_argument("--mutants", action="store_true", help="the mutation score instead")
    parser.add_argument("--json", default=None, help="where to write every outcome")
    return parser.parse_args()


def _corpus(wanted: Sequence[str], backends: Sequence[str]) -> tuple[list[Outcome], list[Outcome]]:
    from checker.corpus import correct_losses, verdict, wrong_losses

    from lossmith.checker.children import children_kept

    with children_kept():
        _check_quietly(correct_losses()[0], backends)
        wrong = [
            _outcome(case, case.bug, verdict.of_wrong, backends)
            for case in wrong_losses()
            if case.id.startswith(tuple(wanted))
        ]
        correct = [
            _outcome(case, case.target, verdict.of_correct, backends)
            for case in correct_losses()
            if case.id.startswith(tuple(wanted))
        ]
    return wrong, correct


def _check_quietly(case: Any, backends: Sequence[str]) -> Any:
    """The report on a case, as a user would get it."""
    import lossmith as ls

    y_true, y_pred = case.batch or (None, None)
    words = {**case.declared, "target": case.target, "entry": case.entry}
    if case.model is not None:
        words["model"] = case.model()
    with contextlib.redirect_stdout(io.StringIO()):
        return ls.check(case.loss, y_true, y_pred, backends=backends, **words)


def _outcome(case: Any, group: str, judge: Any, backends: Sequence[str]) -> Outcome:
    begun = time.perf_counter()
    try:
        report = _check_quietly(case, backends)
    except Exception as error:
        wall = time.perf_counter() - begun
        text = f"{type(error).__name__}: {error}"
        return Outcome(case.id, group, case.confidence, "refused", [("", "", text)], wall)
    wall = time.perf_counter() - begun
    findings = [(f.rule.code, f.severity, f.message) for f in report.findings]
    verdict = judge(case, report.findings)
    print(f"{case.id:28} {verdict:12} {wall:6.1f} s  {_codes(findings)}", flush=True)
    return Outcome(case.id, group, case.confidence, verdict, findings, wall, report.seconds)


def _codes(findings: Iterable[tuple[str, str, str]]) -> str:
    return " ".join(f"{code}{'!' if level == 'error' else ''}" for code, level, _ in findings)


def _print_recall(wrong: Sequence[Outcome]) -> None:
    if not wrong:
        return
    print("\n| confidence | losses | caught | other cause | missed | recall |")
    print("|---|---|---|---|---|---|")
    for level in ("high", "medium", "low"):
        _print_row(level, [o for o in wrong if o.confidence == level])
    for name, start in (("sample", "B"), ("beyond the sample", "W")):
        _print_row(name, [o for o in wrong if o.id.startswith(start)])
    print("\n| class of bug | losses | caught | other cause | missed | recall |")
    print("|---|---|---|---|---|---|")
    classes: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in wrong:
        classes[outcome.group].append(outcome)
    for name, outcomes in sorted(classes.items(), key=lambda item: -len(item[1])):
        _print_row(name, outcomes)
    lost = [f"{o.id} ({o.verdict})" for o in wrong if o.verdict != "caught"]
    print(f"\nnot caught by name: {', '.join(lost) or 'none'}")


def _print_row(name: str, outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        return
    count = Counter(o.verdict for o in outcomes)
    other = count["other cause"] + count["refused"]
    share = count["caught"] / len(outcomes)
    print(
        f"| {name} | {len(outcomes)} | {count['caught']} | {other} | {count['missed']} "
        f"| {share:.0%} |"
    )


def _print_precision(correct: Sequence[Outcome]) -> None:
    if not correct:
        return
    print("\n| correct losses | losses | clean | warned | known defect | false error |")
    print("|---|---|---|---|---|---|")
    for name in ("Keras", "lossmith", "by hand"):
        outcomes = [o for o in correct if _origin(o) == name]
        count = Counter(o.verdict for o in outcomes)
        alarms = count["alarm"] + count["refused"]
        print(
            f"| {name} | {len(outcomes)} | {count['clean']} | {count['warned']} "
            f"| {count['known defect']} | {alarms} |"
        )
    for outcome in correct:
        if outcome.verdict in ("warned", "alarm", "refused"):
            print(f"{outcome.id} ({outcome.verdict}): {_codes(outcome.findings)}")


def _origin(outcome: Outcome) -> str:
    start = outcome.id.partition("-")[0]
    return {"keras": "Keras", "lossmith": "lossmith"}.get(start, "by hand")


def _print_time(outcomes: Sequence[Outcome]) -> None:
    walls = sorted(o.wall for o in outcomes)
    if not walls:
        return
    slowest = max(outcomes, key=lambda o: o.wall)
    print(
        f"\na check: median {statistics.median(walls):.2f} s, "
        f"95 % within {walls[int(0.95 * (len(walls) - 1))]:.2f} s, "
        f"slowest {slowest.wall:.2f} s ({slowest.id})"
    )
    shares: Counter[str] = Counter()
    for outcome in outcomes:
        shares.update(outcome.seconds)
    total = sum(shares.values()) or 1.0
    for step, seconds in shares.most_common():
        print(f"  {step:28} {seconds / total:6.1%}  {seconds / len(outcomes):.3f} s a check")


def _mutation(wanted: Sequence[str]) -> dict[str, Any]:
    """Print and return the mutation score, counted in this process on one backend."""
    from checker.corpus import correct_losses

    counts: dict[str, Counter[str]] = defaultdict(Counter)
    survivors: list[str] = []
    for case in correct_losses():
        if case.id.startswith("keras-") or not case.id.startswith(tuple(wanted)):
            continue
        for operator, fate, line in _fates(case):
            counts[operator][fate] += 1
            if fate == "survived":
                survivors.append(f"{case.id}: {operator}: {line}")
    _print_score(counts)
    print("\nsurvivors:", *survivors, sep="\n  ")
    return {"counts": counts, "survivors": survivors}


def _fates(case: Any) -> Iterable[tuple[str, str, str]]:
    from checker import mutation

    before = _serious(case, case.loss)
    for mutant in mutation.mutants(case.loss):
        domain = case.declared.get("domain") if case.target == "regression" else None
        kind = mutation.compare(case.loss, mutant.loss, case.target, domain)
        if kind == "same":
            yield mutant.operator, "equivalent", mutant.line
            continue
        new = {code: level for code, level in _serious(case, mutant.loss).items()
               if before.get(code) != level}  # fmt: skip
        fate = "error" if "error" in new.values() else "warning" if new else "survived"
        yield mutant.operator, "scaled" if kind == "scaled" and not new else fate, mutant.line


def _serious(case: Any, loss: Any) -> dict[str, str]:
    """The errors and warnings of the probes on the backend of this process."""
    from lossmith.checker.inspection import inspect
    from lossmith.checker.settings import Settings

    y_true, y_pred = case.batch or (None, None)
    settings = Settings(case.target, y_true, y_pred, entry=case.entry, **case.declared)
    found = inspect(loss, settings).findings
    return {f.rule.code: f.severity for f in found if f.severity != "information"}


def _print_score(counts: Mapping[str, Counter[str]]) -> None:
    print("\n| change | equivalent | a factor only | error | warning | survived | score |")
    print("|---|---|---|---|---|---|---|")
    total: Counter[str] = Counter()
    for operator, count in sorted(counts.items()):
        total.update(count)
        _print_fates(operator, count)
    _print_fates("all", total)


def _print_fates(name: str, count: Counter[str]) -> None:
    caught = count["error"] + count["warning"]
    alive = caught + count["survived"]
    cells = [count[fate] for fate in ("equivalent", "scaled", "error", "warning", "survived")]
    print(f"| {name} | {' | '.join(map(str, cells))} | {caught / max(alive, 1):.0%} |")


if __name__ == "__main__":
    main()
