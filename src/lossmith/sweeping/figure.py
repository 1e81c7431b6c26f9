"""The plot of a sweep."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from lossmith.sweeping.result import Row, SweepResult


def metric_against(result: "SweepResult", over: str | None) -> Figure:
    """The metric against one hyperparameter, a line for each combination of the others."""
    names = list(result.rows[0].hyperparameters)
    over = names[0] if over is None else over
    if over not in names:
        raise ValueError(f"plot: `{over}` was not swept; there is {', '.join(names)}.")
    lines: dict[str, list[Row]] = {}
    for row in result.rows:
        if row.metrics:
            others = {name: row.hyperparameters[name] for name in names if name != over}
            label = ", ".join(f"{name}={value}" for name, value in others.items())
            lines.setdefault(label, []).append(row)
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for label, rows in lines.items():
        places = [_place(row.hyperparameters[over]) for row in rows]
        metrics = [row.metric for row in rows]
        spreads = np.nan_to_num([row.spread for row in rows])
        axes.errorbar(places, metrics, yerr=spreads, marker="o", capsize=3, label=label)
    if _is_geometric([row.hyperparameters[over] for row in result.rows]):
        axes.set_xscale("log")
    axes.set_xlabel(over)
    axes.set_ylabel(result.metric_name)
    if len(lines) > 1:
        axes.legend(frameon=False)
    return figure


def _place(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _is_geometric(values: list[Any]) -> bool:
    """Whether values are positive and spread over more than a factor of ten."""
    if not all(isinstance(value, float) and value > 0 for value in values):
        return False
    return max(values) > 10 * min(values)
