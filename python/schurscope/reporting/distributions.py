"""Figures over many networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from .svg import Panel, Scale, figure, least, spanning

if TYPE_CHECKING:
    from ..diagnosis.cuts import CutCurve

__all__ = ["cut_lines", "strips"]


def strips(
    rows: Sequence[tuple[str, Sequence[float]]],
    label: str,
    tolerance: float | None,
    x: Scale | None = None,
) -> Markup:
    """A point for each network in each row, the middle half and the median."""
    every = np.array([value for _, values in rows for value in values])
    x = x or spanning(every, "symlog", threshold=tolerance or least(every))
    step = 30.0
    bottom = 12.0 + step * len(rows)
    longest = max((len(name) for name, _ in rows), default=0)
    panel = Panel(x, Scale(0, len(rows)), left=18.0 + 7.0 * longest, bottom=bottom)
    panel.axes(label, y_ticks=[])
    for value in x.ticks():
        panel.upright(value, "grid")
    panel.upright(0.0, "zero")
    if tolerance is not None:
        for value in (-tolerance, tolerance):
            if value >= x.low:
                panel.upright(value, "tolerance")
    for place, (name, values) in enumerate(rows):
        height = len(rows) - place - 0.5
        panel.text(panel.left - 8, panel.at(0, height)[1] + 4, name, "tick end")
        known = np.array([value for value in values if np.isfinite(value)])
        if known.size >= 5:
            low, high = map(float, np.quantile(known, (0.25, 0.75)))
            panel.bar((low, high), (height - 0.36, height + 0.36), "bar pale")
        for index, value in enumerate(known.tolist()):
            shift = 0.22 * ((index * 0.618) % 1.0 - 0.5)  # apart, and the same each time
            panel.mark(value, height + 2 * shift * (known.size > 2), "mark s0", size=2.6)
        if known.size:
            middle = float(np.median(known))
            panel.segment((middle, height - 0.42), (middle, height + 0.42), "median")
    words = f"{label} by network, a row for each of {', '.join(name for name, _ in rows)}."
    return figure([panel], words, height=bottom + 44.0)


def cut_lines(curves: Sequence[CutCurve], change: str) -> Markup:
    """The cut curves of many networks, a thin line each."""
    if not curves:
        return Markup("")
    widest = max(curve.schur.n_hidden for curve in curves)
    y = spanning(np.concatenate([curve.change for curve in curves]))
    panel = Panel(Scale(0.0, float(widest)), y)
    panel.axes("k, dimensions in R", f"{change} without C→R")
    panel.across(0.0, "zero")
    for curve in curves:
        panel.line(zip(curve.cut, curve.change, strict=True), "thin s1")
    words = f"{change} without C→R at every cut, a line for each of {len(curves)} networks."
    return figure([panel], words)
