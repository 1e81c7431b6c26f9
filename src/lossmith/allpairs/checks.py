"""What a loss over all pairs refuses, with what was expected, what came and what to do."""

from typing import Any, get_args

from lossmith.allpairs import measures


def check_measure(owner: str, measure: Any) -> None:
    """Refuse a name of no measure; what is no name computes one, as a property does.

    Raises:
        ValueError: naming those that there are.
    """
    known = get_args(measures.Name)
    if isinstance(measure, str) and measure not in known:
        names = ", ".join(map(repr, known))
        raise ValueError(f"{owner}: `measure` must be one of {names}; got {measure!r}.")
