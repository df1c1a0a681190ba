"""Style of all figures: colours, sizes, Axes that pyplot does not manage."""

from __future__ import annotations

import os
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from .._internal.files import atomic_path

COLORS: dict[str, str] = {
    "full": "#4d4d4d",
    "RR": "#0072b2",
    "CR": "#d55e00",
    "CC": "#009e73",
    "RR+CR": "#cc79a7",
    "RR+CC": "#56b4e9",
    "CR+CC": "#e69f00",
    "RR+CR+CC": "#000000",
    "BB": "#8a6d1f",
}
"""A colour for every default ablation: Okabe and Ito's palette, black and a brown."""

OTHER = "#8c8c8c"  # all other ablations
INK = "#262626"
WARNING = "#b3400e"
PALE = "#bfbfbf"
SMALL, NORMAL = 8.0, 9.0  # points
DPI = 200


def label(name: str) -> str:
    """An ablation's name as figures write it: ``"−CR −CC"`` of "CR+CC", ``"n −CR"`` of "n:CR"."""
    gate, colon, couplings = name.rpartition(":")
    if couplings == "full" or couplings not in COLORS or "," in gate:
        return name
    return (f"{gate} −" if colon else "−") + couplings.replace("+", " −")


def color_of(name: str) -> str:
    """The colour of an ablation; that of a gate's couplings is theirs."""
    return COLORS.get(name.rpartition(":")[2], OTHER)


def axes_or_new(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """`ax`, or the Axes of a new figure that pyplot does not manage."""
    if ax is not None:
        return ax
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def tidy(ax: Axes) -> Axes:
    """Two spines, small ticks."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(INK)
        ax.spines[side].set_linewidth(0.8)
    parameters: dict[str, Any] = {"labelsize": SMALL, "colors": INK, "width": 0.8}
    ax.tick_params(**parameters)
    return ax


def save_figure(figure: Figure | SubFigure, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format of the path's suffix, atomically."""
    if not isinstance(figure, Figure):
        raise TypeError(f"figure must be a whole Figure, got {type(figure).__name__}")
    with atomic_path(path) as temporary, matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(temporary, dpi=DPI, facecolor="white")  # fonttype 42: text stays text
