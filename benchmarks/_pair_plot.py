"""The plot of the benchmark of all pairs."""

from pathlib import Path
from statistics import median
from typing import Any

_COLUMNS = 3
_LINES = {
    "lossmith": {"linestyle": "-", "marker": "o"},
    "dense": {"linestyle": ":", "marker": "x"},
    "PML": {"linestyle": "--", "marker": "^"},
    "ST": {"linestyle": "--", "marker": "v"},
}
Line = list[tuple[int, float]]


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Time over that of the two products, by the size of the batch: a panel for each loss."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    panels = {name: lines for name, lines in _panels(results).items() if _is_a_curve(lines)}
    colours = dict(zip(_modes(panels), pyplot.colormaps["tab10"].colors, strict=False))
    rows = -(-len(panels) // _COLUMNS)
    figure, grid = pyplot.subplots(
        rows, _COLUMNS, figsize=(11, 3.3 * rows), sharex=True, sharey=True, squeeze=False
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    sizes = sorted({group["batch"] for result in results for group in result["groups"]})
    drawn: dict[str, Any] = {}
    for axes, (loss, lines) in zip(grid.flat, panels.items(), strict=False):
        for (mode, whose), points in lines.items():
            style = {"color": colours[mode], "markersize": 4, **_LINES[whose]}
            (drawn[f"{mode}: {whose}"],) = axes.plot(*zip(*sorted(points), strict=True), **style)
        axes.axhline(1.0, color="0.6", linewidth=1)
        axes.set(xscale="log", yscale="log", title=loss)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    figure.supxlabel("batch size")
    figure.supylabel("time / two bare products")
    figure.legend(drawn.values(), drawn, loc="outside right center", fontsize=8)
    figure.tight_layout(rect=(0, 0, 0.78, 1))
    figure.savefig(path)


def _panels(results: list[dict[str, Any]]) -> dict[str, dict[tuple[str, str], Line]]:
    """The lines of each loss: those of a mode of a backend, ours or another's."""
    panels: dict[str, dict[tuple[str, str], Line]] = {}
    for result in results:
        for group in result["groups"]:
            lines = panels.setdefault(group["loss"], {})
            for case, rounds in group["rounds"].items():
                mode, whose = case.split(": ")
                if whose != "products":
                    over = median(rounds) / median(group["rounds"][f"{mode}: products"])
                    line = lines.setdefault((f"{result['backend']}, {mode}", whose), [])
                    line.append((group["batch"], over))
    return panels


def _is_a_curve(lines: dict[tuple[str, str], Line]) -> bool:
    return any(len(points) > 1 for points in lines.values())


def _modes(panels: dict[str, dict[tuple[str, str], Line]]) -> list[str]:
    return list(dict.fromkeys(mode for lines in panels.values() for mode, _ in lines))
