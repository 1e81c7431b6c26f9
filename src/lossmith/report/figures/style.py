"""The look that all figures share. Colours are told apart also by the colour-blind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito, "Color Universal Design" (2008).
SAME = "#0072B2"
DIFFERENT = "#E69F00"
ERROR = "#C1121F"
INK = "#22262b"
MUTED = "#6b737c"
GRID = "#e6e8eb"

# Paul Tol, "Colour Schemes" (SRON/EPS/TN/09-002), scheme "muted", and a dark grey.
CLASS_COLOURS = (
    "#332288",
    "#CC6677",
    "#117733",
    "#DDCC77",
    "#88CCEE",
    "#882255",
    "#44AA99",
    "#999933",
    "#AA4499",
    "#555555",
)
CLASS_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def tidy(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Labels the axes and leaves only the lines that help reading."""
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def single_axes(width: float = 5.8, height: float = 4.2) -> tuple[Figure, Axes]:
    """A figure of one panel, in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def literal(name: str) -> str:
    """A name from outside that Matplotlib shows as it stands.

    Dollar signs would start a formula, and legends leave out what begins with an underscore.
    """
    shown = name.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
