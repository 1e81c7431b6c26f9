"""What the corpus says of a loss: what it is given, what is wrong with it, who reported it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Confidence = Literal["high", "medium", "low"]
"""High: the bug shows without knowing the intent (or with the words in `declared`).

Medium: it shows as a break of contract, or only where a probe happens to look. Low: only the
author can know; the card is all that a machine can offer.
"""


@dataclass(frozen=True)
class Case:
    """One loss of the corpus.

    `expected` holds prefixes of rule codes, any of which names the right cause; it is empty for a
    correct loss. `witness` shows the bug without the checker, `oracle` is the value (per row or the
    mean) of a correct loss in NumPy. `tolerated` holds prefixes of the
    warnings that a correct loss deserves, `known_defects` those of errors that are defects of
    Keras.
    """

    id: str
    loss: Any
    target: str
    bug: str = ""
    expected: tuple[str, ...] = ()
    source: str = ""
    confidence: Confidence = "high"
    entry: str = "compile"
    declared: Mapping[str, Any] = field(default_factory=dict)
    witness: Callable[[Any], bool] | None = None
    oracle: Callable[[Any, Any], Any] | None = None
    batch: tuple[Any, Any] | None = None
    model: Callable[[], Any] | None = None
    tolerated: tuple[str, ...] = ()
    known_defects: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Shelf:
    """Collects the cases that a decorator declares."""

    cases: list[Case] = field(default_factory=list)

    def put(
        self, id: str, target: str, *, made_with: Mapping[str, Any] | None = None, **facts: Any
    ):
        """Declare the decorated loss; with `made_with`, what the decorated makes when called."""

        def declare(thing: Any) -> Any:
            loss = thing if made_with is None else thing(**made_with)
            self.cases.append(Case(id, loss, target, **facts))
            return thing

        return declare


WRONG = Shelf()
CORRECT = Shelf()


def wrong(id: str, target: str, **facts: Any) -> Callable[[Any], Any]:
    """Put the decorated loss on the shelf of wrong losses."""
    return WRONG.put(id, target, **facts)


def correct(id: str, target: str, **facts: Any) -> Callable[[Any], Any]:
    """Put the decorated loss on the shelf of correct losses."""
    return CORRECT.put(id, target, **facts)
