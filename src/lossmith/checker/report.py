"""What a check says: rules, evidence, findings, the loss's card and the report.

Everything here is plain data that travels between processes as JSON.
"""

import json
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any, Literal, Self

import numpy as np

from lossmith.checker.verdict import sentence
from lossmith.checker.wording import card_lines, finding_lines

Severity = Literal["error", "warning", "information"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "information")


_OF_THE_KIND = ("LSM1", "LSM2", "LSM3", "LSM5", "LSM7")
"""Groups of rules whose findings depend on the kind of target."""


class LossCheckError(AssertionError):
    """Raised by `Report.raise_if_failed`; its text is the report."""


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: arrays become lists, NaN and inf become strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


@dataclass(frozen=True)
class Rule:
    """A property that a loss must have, with a stable code such as `LSM101`.

    A finding of it may be of another severity than `default_severity`.
    """

    code: str
    name: str
    default_severity: Severity
    summary: str


@dataclass(frozen=True)
class Evidence:
    """The smallest input that shows a finding.

    `mode` says how the loss was run: `eager`, `compiled`, `fit` or `save`.
    """

    backend: str
    mode: str
    y_true: Any = None
    y_pred: Any = None
    value: Any = None
    gradient: Any = None
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("y_true", "y_pred", "value", "gradient"):
            object.__setattr__(self, name, plain(getattr(self, name)))


@dataclass(frozen=True)
class Finding:
    """One fault: the rule, a sentence in plain words, the proof, the consequence, the remedy.

    `about` names the hyperparameter or label at fault, where a rule may be broken by several.
    """

    rule: Rule
    message: str
    evidence: Evidence | None = None
    consequence: str = ""
    remedy: str = ""
    backends: tuple[str, ...] = ()
    waived: str | None = None
    severity: Severity = field(default="error", kw_only=True)
    about: str = field(default="", kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain data."""
        return {**asdict(self), "backends": list(self.backends)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make the finding that `to_dict` described."""
        evidence = data["evidence"]
        return cls(
            **{
                **data,
                "rule": Rule(**data["rule"]),
                "evidence": None if evidence is None else Evidence(**evidence),
                "backends": tuple(data["backends"]),
            }
        )


@dataclass(frozen=True)
class CardRow:
    """One measured property: its value, what it was measured on, and a note."""

    value: Any
    measured_on: str = ""
    note: str = ""


@dataclass(frozen=True)
class Card:
    """The measured properties of a loss, by name."""

    rows: Mapping[str, CardRow] = field(default_factory=dict)

    def by_ground(self) -> list[tuple[str, list[tuple[str, CardRow]]]]:
        """The rows in order, neighbours measured on the same thing as a group under its name."""
        groups = [list(rows) for _, rows in groupby(self.rows.items(), lambda r: r[1].measured_on)]
        return [(rows[0][1].measured_on if len(rows) > 1 else "", rows) for rows in groups]

    def to_dict(self) -> dict[str, Any]:
        """The card as plain data."""
        return {name: plain(asdict(row)) for name, row in self.rows.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make the card that `to_dict` described."""
        return cls({name: CardRow(**row) for name, row in data.items()})


@dataclass(frozen=True)
class BackendResult:
    """What one process saw on one backend.

    `probe_values` maps the name of an input to the values of the loss and its gradient there, to
    be compared between backends; `inputs` holds those inputs. `target_weak` says that the kind of
    target was guessed and little speaks for it.
    """

    backend: str
    target: str = ""
    target_inferred: bool = False
    findings: tuple[Finding, ...] = ()
    card: Card = field(default_factory=Card)
    probe_values: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    target_weak: bool = False

    def to_json(self) -> str:
        """The result as JSON text."""
        return json.dumps(
            {
                "backend": self.backend,
                "target": self.target,
                "target_inferred": self.target_inferred,
                "findings": [finding.to_dict() for finding in self.findings],
                "card": self.card.to_dict(),
                "probe_values": plain(self.probe_values),
                "inputs": plain(self.inputs),
                "seconds": dict(self.seconds),
                "target_weak": self.target_weak,
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Make the result that `to_json` wrote."""
        data = json.loads(text)
        data["findings"] = tuple(Finding.from_dict(finding) for finding in data["findings"])
        data["card"] = Card.from_dict(data["card"])
        return cls(**data)


@dataclass(frozen=True)
class Location:
    """Where a loss is written: its file and the line it starts at."""

    file: str
    line: int


@dataclass(frozen=True)
class Curve:
    """The loss and its slope `at` a line of predictions, for drawing."""

    title: str
    at: tuple[float, ...]
    values: tuple[float, ...]
    slopes: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """The curve as plain data."""
        return {name: plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make the curve that `to_dict` described."""
        numbers = {name: tuple(map(float, data[name])) for name in ("at", "values", "slopes")}
        return cls(title=data["title"], **numbers)


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    `backends_missing` maps each backend that was not probed to the reason; `seconds` maps each
    step to the time it took; `location` is `None` if the source is not known;
    `curves` are drawn where a picture says more; `target_weak` says that the kind of target was
    guessed and little speaks for it; `batch_given` that it was guessed from a batch of the user's.
    """

    loss: str
    target: str
    target_inferred: bool = False
    findings: tuple[Finding, ...] = ()
    card: Card = field(default_factory=Card)
    backends_seen: tuple[str, ...] = ()
    backends_missing: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    location: Location | None = None
    curves: tuple[Curve, ...] = ()
    target_weak: bool = False
    batch_given: bool = False

    @property
    def ok(self) -> bool:
        """True if no error was found that is not waived.

        A loss whose kind of target was guessed may be `ok` and `undecided`.
        """
        return not self.errors

    @property
    def undecided(self) -> tuple[Finding, ...]:
        """The warnings that are errors if the kind of target, which was guessed, is the right one.

        None if the kind was given, or if there are errors anyway.
        """
        doubtful = (
            finding
            for finding in self.findings
            if (finding.severity, finding.rule.default_severity) == ("warning", "error")
            and finding.rule.code.startswith(_OF_THE_KIND)
            and finding.waived is None
        )
        return tuple(doubtful) if self.target_inferred and self.ok else ()

    @property
    def decided(self) -> bool:
        """Whether the outcome does not hang on a guess of the kind of target."""
        return not self.ok or not (self.undecided or self.target_weak)

    @property
    def kind(self) -> str:
        """The kind of target, and how sure it is."""
        if self.batch_given and self.target_inferred:
            return f"{self.target} (guessed from your batch)"
        if self.target_weak:
            return f"{self.target} (a weak guess: write target=, or --target KIND)"
        return f"{self.target} (guessed)" if self.target_inferred else self.target

    @property
    def verdict(self) -> str:
        """What came of the check, in one line."""
        return sentence(self)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make `ok` false."""
        return tuple(f for f in self.findings if f.severity == "error" and f.waived is None)

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of one severity, waived ones included."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def select(self, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> Self:
        """Keep the findings whose code starts with one of `select` and none of `ignore`."""
        chosen, left_out = tuple(select), tuple(ignore)
        kept = (
            finding
            for finding in self.findings
            if (not chosen or finding.rule.code.startswith(chosen))
            and not (left_out and finding.rule.code.startswith(left_out))
        )
        return replace(self, findings=tuple(kept))

    def raise_if_failed(self) -> Self:
        """Return the report itself, or raise.

        A warning is issued if nothing is decided because the kind of target was guessed.

        Raises:
            LossCheckError: if there is an error that is not waived; its text is the report.
        """
        if not self.ok:
            codes = ", ".join(dict.fromkeys(f"{f.rule.code} {f.rule.name}" for f in self.errors))
            raise LossCheckError(f"{self.loss}: {codes}\n\n{self}")
        if not self.decided:
            warnings.warn(f"{self.loss}: {self.verdict}", stacklevel=2)
        return self

    def draw(self) -> str:
        """The loss and its slope along a line of predictions, as text of a few lines.

        Empty for kinds of target that have no single line to draw.
        """
        from lossmith.checker.reporters.drawing import drawn

        return "\n\n".join("\n".join(drawn(curve)) for curve in self.curves)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "loss": self.loss,
            "target": self.target,
            "target_inferred": self.target_inferred,
            "target_weak": self.target_weak,
            "batch_given": self.batch_given,
            "ok": self.ok,
            "verdict": self.verdict,
            "findings": [finding.to_dict() for finding in self.findings],
            "card": self.card.to_dict(),
            "backends_seen": list(self.backends_seen),
            "backends_missing": dict(self.backends_missing),
            "seconds": dict(self.seconds),
            "location": None if self.location is None else asdict(self.location),
            "curves": [curve.to_dict() for curve in self.curves],
        }

    def __repr__(self) -> str:
        """The report as plain text."""
        seen = ", ".join(self.backends_seen) or "no backend"
        lines = [f"{self.loss} · {self.kind} · seen on {seen}"]
        lines += [f"not seen on {name}: {why}" for name, why in self.backends_missing.items()]
        for severity in SEVERITIES:
            for finding in self.of(severity):
                lines += ["", *finding_lines(finding)]
        lines += ["", *card_lines(self.card)]
        lines += ["", self.verdict]
        return "\n".join(lines)
