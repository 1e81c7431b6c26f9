"""The plot of the benchmark of all pairs."""

from pathlib import Path
from statistics import median
from typing import Any


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Time over that of the two products, by the size of the batch: a panel for each loss."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    losses = list(dict.fromkeys(group["loss"] for each in results for group in each["groups"]))
    figure, panels = pyplot.subplots(
        1, len(losses), figsize=(3.2 * len(losses), 3.4), sharey=True, squeeze=False
    )
    for panel, loss in zip(panels[0], losses, strict=True):
        for result in results:
            _draw(panel, result, loss)
        panel.axhline(1.0, color="0.6", linewidth=1)
        panel.set(xscale="log", yscale="log", title=loss, xlabel="batch size")
        panel.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        panel.legend(fontsize=6)
    panels[0][0].set_ylabel("time / two bare products")
    figure.tight_layout()
    figure.savefig(path)


def _draw(panel: Any, result: dict[str, Any], loss: str) -> None:
    lines: dict[str, list[tuple[int, float]]] = {}
    for group in result["groups"]:
        if group["loss"] == loss:
            for case, rounds in group["rounds"].items():
                mode, whose = case.split(": ")
                if whose != "products":
                    over = median(rounds) / median(group["rounds"][f"{mode}: products"])
                    lines.setdefault(case, []).append((group["batch"], over))
    for case, points in lines.items():
        style = "o-" if case.endswith("lossmith") else "x:"
        sizes, ratios = zip(*points, strict=True)
        panel.plot(sizes, ratios, style, markersize=4, label=f"{result['backend']} {case}")
