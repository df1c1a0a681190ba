"""Small figures as SVG: axes, lines, bands, marks.

Colours and strokes are classes, which the page's stylesheet sets for light and dark screens and
for paper. All text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

__all__ = ["Panel", "Scale", "figure", "label_number", "least", "series", "spanning"]

_Points = Iterable[tuple[float, float]]
Kind = Literal["linear", "log", "symlog"]
WIDTH = 480.0
SERIES = 8
SHAPES = ("circle", "square", "triangle", "diamond")


def series(place: int) -> str:
    """The class of the colour and dashes of a series."""
    return f"s{place % SERIES}"


def label_number(value: float) -> str:
    """A short number with a true minus sign."""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.1e}".split("e")
        mantissa = mantissa.removesuffix(".0")
        text = f"{mantissa}e{int(exponent)}"
    else:
        text = f"{value:g}"
    return text.replace("-", "−")


@dataclass(frozen=True)
class Scale:
    """Numbers to [0, 1]: linear, logarithmic, or linear up to `threshold` and then logarithmic."""

    low: float
    high: float
    kind: Kind = "linear"
    threshold: float = 1.0

    def __call__(self, value: float) -> float:
        """The place of a value; those beyond the ends are moved there."""
        low, high = self._forward(self.low), self._forward(self.high)
        place = (self._forward(value) - low) / ((high - low) or 1.0)
        return min(max(place, 0.0), 1.0)

    def _forward(self, value: float) -> float:
        if self.kind == "log":
            return math.log10(max(value, 1e-300))
        if self.kind == "symlog":
            return math.copysign(math.log10(1 + abs(value) / self.threshold), value)
        return value

    def ticks(self) -> list[float]:
        """Round values within the scale, at most eight."""
        if self.kind == "linear":
            return _round_values(self.low, self.high)
        largest = max(abs(self.low), abs(self.high))
        smallest = max(self.low, 1e-300) if self.kind == "log" else self.threshold
        first = math.ceil(math.log10(smallest) - 1e-9)
        last = math.floor(math.log10(max(largest, smallest)) + 1e-9)
        every = max(1, math.ceil((last - first + 1) / 6))
        powers = [10.0**place for place in range(last, first - 1, -every)][::-1]
        if self.kind == "log":
            return powers
        both = [*(-power for power in reversed(powers)), 0.0, *powers]
        return [value for value in both if self.low <= value <= self.high]


def _round_values(low: float, high: float) -> list[float]:
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    rough = span / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def spanning(
    values: npt.ArrayLike, kind: Kind = "linear", *, threshold: float = 1.0, zero: bool = True
) -> Scale:
    """A scale over all finite values, with a margin."""
    numbers = np.asarray(values, dtype=np.float64).ravel()
    numbers = numbers[np.isfinite(numbers)]
    if kind == "log":
        numbers = numbers[numbers > 0]
        low, high = (numbers.min(), numbers.max()) if numbers.size else (0.1, 1.0)
        return Scale(float(low) / 1.5, float(high) * 1.5, kind)
    if zero or not numbers.size:
        numbers = np.append(numbers, 0.0)
    low, high = float(numbers.min()), float(numbers.max())
    if kind == "symlog":
        edge = max(abs(low), abs(high), 2 * threshold)
        low = low * 1.6 if low < -threshold else -threshold
        return Scale(low, edge * 1.6 if high > 0 else threshold, kind, threshold)
    margin = 0.06 * (high - low) or 1.0
    return Scale(low - (margin if low < 0 or not zero else 0.0), high + margin)


def least(values: npt.NDArray[np.float64]) -> float:
    """Where a scale may end to be linear: a thousandth of the largest value."""
    known = np.abs(values[np.isfinite(values)])
    return max(float(known.max(initial=0.0)) / 1e3, 1e-12)


class Panel:
    """Axes in a rectangle of an SVG, in pixels; draws in data coordinates."""

    def __init__(
        self,
        x: Scale,
        y: Scale,
        *,
        left: float = 62.0,
        top: float = 12.0,
        right: float = WIDTH - 14.0,
        bottom: float = 240.0,
    ) -> None:
        self.x, self.y = x, y
        self.left, self.top, self.right, self.bottom = left, top, right, bottom
        self._parts: list[Markup] = []

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        across = self.left + (self.right - self.left) * self.x(x)
        return across, self.bottom - (self.bottom - self.top) * self.y(y)

    def add(self, template: str, **values: object) -> None:
        """Any element; values are escaped."""
        self._parts.append(Markup(template).format(**values))

    def axes(
        self,
        x_label: str = "",
        y_label: str = "",
        *,
        x_ticks: Sequence[tuple[float, str]] | None = None,
        y_ticks: Sequence[tuple[float, str]] | None = None,
    ) -> None:
        """Ticks with grid lines, and labels."""
        named_x = [(v, label_number(v)) for v in self.x.ticks()] if x_ticks is None else x_ticks
        named_y = [(v, label_number(v)) for v in self.y.ticks()] if y_ticks is None else y_ticks
        for value, name in named_y:
            height = self.at(self.x.low, value)[1]
            self._segment("grid", self.left, height, self.right, height)
            self.text(self.left - 7, height + 4, name, "tick end")
        for value, name in named_x:
            across = self.at(value, self.y.low)[0]
            self._segment("axis", across, self.bottom, across, self.bottom + 4)
            self.text(across, self.bottom + 18, name, "tick mid")
        self._segment("axis", self.left, self.bottom, self.right, self.bottom)
        middle = (self.left + self.right) / 2
        if x_label:
            self.text(middle, self.bottom + 36, x_label, "label mid")
        if y_label:
            height = (self.top + self.bottom) / 2
            self.add(
                '<text class="label mid" transform="translate({x:.1f} {y:.1f}) rotate(-90)">'
                "{text}</text>",
                x=13.0,
                y=height,
                text=y_label,
            )

    def _segment(self, kind: str, x1: float, y1: float, x2: float, y2: float) -> None:
        self.add(
            '<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>',
            kind=kind,
            x1=x1,
            y1=y1,
            x2=x2,
            y2=y2,
        )

    def across(self, y: float, kind: str) -> None:
        """A horizontal line over the whole panel."""
        height = self.at(self.x.low, y)[1]
        self._segment(kind, self.left, height, self.right, height)

    def upright(self, x: float, kind: str) -> None:
        """A vertical line over the whole panel."""
        place = self.at(x, self.y.low)[0]
        self._segment(kind, place, self.top, place, self.bottom)

    def segment(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A line between two points."""
        self._segment(kind, *self.at(*start), *self.at(*end))

    def line(self, points: _Points, kind: str) -> None:
        """A line through the finite points, broken at the others."""
        path, pen = [], "M"
        for x, y in points:
            if not (math.isfinite(x) and math.isfinite(y)):
                pen = "M"
                continue
            path.append("{}{:.1f} {:.1f}".format(pen, *self.at(x, y)))
            pen = "L"
        self.add('<path class="line {kind}" d="{path}"/>', kind=kind, path="".join(path))

    def band(self, x: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, kind: str) -> None:
        """The area between two curves, where both are finite."""
        rows = np.column_stack([np.asarray(v, dtype=np.float64) for v in (x, low, high)])
        rows = rows[np.isfinite(rows).all(axis=1)]
        corners = [self.at(a, b) for a, b, _ in rows] + [self.at(a, c) for a, _, c in rows[::-1]]
        text = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
        self.add('<polygon class="band {kind}" points="{text}"/>', kind=kind, text=text)

    def mark(self, x: float, y: float, kind: str, shape: str = "circle", size: float = 3.4) -> None:
        """A mark, unless the point is not finite."""
        if not (math.isfinite(x) and math.isfinite(y)):
            return
        a, b = self.at(x, y)
        if shape == "circle":
            template = '<circle class="{kind}" cx="{a:.1f}" cy="{b:.1f}" r="{size:.1f}"/>'
            self.add(template, kind=kind, a=a, b=b, size=size)
            return
        s = size * 1.15
        offsets = {
            "square": ((-s, -s), (s, -s), (s, s), (-s, s)),
            "triangle": ((0, -1.3 * s), (1.2 * s, s), (-1.2 * s, s)),
            "diamond": ((0, -1.4 * s), (1.4 * s, 0), (0, 1.4 * s), (-1.4 * s, 0)),
        }[shape]
        text = " ".join(f"{a + da:.1f},{b + db:.1f}" for da, db in offsets)
        self.add('<polygon class="{kind}" points="{text}"/>', kind=kind, text=text)

    def bar(self, x: tuple[float, float], y: tuple[float, float], kind: str) -> None:
        """A rectangle between two corners."""
        (a, b), (c, d) = self.at(x[0], y[0]), self.at(x[1], y[1])
        self.add(
            '<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>',
            kind=kind,
            x=min(a, c),
            y=min(b, d),
            w=abs(c - a),
            h=abs(d - b),
        )

    def text(self, x: float, y: float, words: str, kind: str) -> None:
        """Words at pixels."""
        template = '<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{words}</text>'
        self.add(template, kind=kind, x=x, y=y, words=words)

    def names_at_end(self, ends: Sequence[tuple[float, str, str]], x: float) -> None:
        """Names of lines right of their ends (y, name, class), moved apart where they collide."""
        placed = sorted((self.at(self.x.high, y)[1], name, kind) for y, name, kind in ends)
        heights = [height for height, _, _ in placed]
        for place in range(1, len(heights)):
            heights[place] = max(heights[place], heights[place - 1] + 14)
        excess = max(0.0, heights[-1] - self.bottom) if heights else 0.0
        for height, (_, name, kind) in zip(heights, placed, strict=True):
            self.text(x, height - excess + 4, name, f"name {kind}")

    @property
    def svg(self) -> Markup:
        """All elements."""
        return Markup("").join(self._parts)


def figure(
    panels: Sequence[Panel], label: str, *, height: float = 284.0, name: str = "", data: str = ""
) -> Markup:
    """The SVG of panels, with a text alternative.

    `name` is its id, and `data` attributes for the script.
    """
    body = Markup("").join(panel.svg for panel in panels)
    identity = Markup(' id="{}"').format(name) if name else Markup("")
    return Markup(
        '<svg class="figure"{identity} viewBox="0 0 {width:g} {height:g}" role="img" '
        'aria-label="{label}"{data}>{body}</svg>'
    ).format(
        identity=identity,
        width=WIDTH,
        height=height,
        label=escape(label),
        data=Markup(data),
        body=body,
    )
