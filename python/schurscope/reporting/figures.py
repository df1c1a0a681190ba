"""The figures of a page. Each takes the part of the diagnosis that it draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from .svg import SHAPES, WIDTH, Panel, Scale, figure, least, series, spanning

if TYPE_CHECKING:
    from ..coordinates.schur import OrderedSchur
    from ..diagnosis.account import Account
    from ..diagnosis.cuts import CutCurve
    from ..diagnosis.dose import Dose
    from ..diagnosis.nulls import Null
    from ..diagnosis.removable import Removable
    from ..diagnosis.single_trials import Trajectories

__all__ = [
    "account_bars",
    "cut_figure",
    "dose_lines",
    "dose_scale",
    "forest",
    "kind_bars",
    "null_ranges",
    "null_scale",
    "removal_lines",
    "spectrum",
    "trajectory_rows",
]

_Float64 = npt.NDArray[np.float64]
STAGES = ("mass", "activity", "reading", "exact")


def cut_figure(
    curve: CutCurve,
    change: str,
    n_R: int,
    *,
    name: str = "",
    y: Scale | None = None,
    width: int = 0,
) -> Markup:
    """The change at every cut above, relative keys and gaps below; the script moves α."""
    n_hidden = curve.schur.n_hidden
    x = Scale(0.0, float(width or n_hidden))
    y = y or spanning(np.concatenate([curve.change, curve.interval.ravel()]))
    above = Panel(x, y, bottom=196.0)
    above.axes(y_label=f"{change} without C→R", x_ticks=[])
    above.across(0.0, "zero")
    low, high = curve.interval.T
    above.band(curve.cut, low, high, "s1")
    above.line(zip(curve.cut, curve.change, strict=True), "s1")
    firm = curve.determined & ~curve.tied
    for k, value, is_firm in zip(curve.cut, curve.change, firm, strict=True):
        above.mark(k, value, "mark s1" if is_firm else "hollow s1", size=2.6)
    largest = float(curve.schur.keys.max()) or 1.0
    below = Panel(x, Scale(0.0, 1.04), top=232.0, bottom=372.0)
    below.axes("k, dimensions in R", "share of the largest")
    for k, gap in zip(curve.cut, curve.gap, strict=True):
        below.segment((k, 0.0), (k, max(float(gap), 0.0)), "gap")
    for row, key in enumerate(curve.schur.keys / largest):
        below.mark(row + 1, float(key), "key", size=1.9)
    below.text(below.right, below.top - 8, "dots: keys of the eigenvalues; bars: gaps", "tick end")
    if n_R < n_hidden:
        above.upright(n_R, "given")
        below.upright(n_R, "given")
    handles = Markup(
        '<g class="cursor"><rect x="-11" y="{top}" width="22" height="{height}"/>'
        '<line x1="0" x2="0" y1="{top}" y2="{bottom}"/>'
        '<circle cx="0" cy="{top}" r="6"/></g>'
        '<line class="level" x1="{left}" x2="{right}" y1="0" y2="0"/>'
    ).format(
        top=above.top,
        bottom=below.bottom,
        height=below.bottom - above.top,
        left=below.left,
        right=below.right,
    )
    geometry = (
        f' data-left="{above.left}" data-right="{above.right}" data-n="{n_hidden}" '
        f'data-top="{below.top}" data-bottom="{below.bottom}" data-high="{below.y.high}"'
    )
    best = int(np.argmax(np.nan_to_num(np.abs(curve.change))))
    words = (
        f"{change} when C→R is removed, against the number of dimensions in R, for {len(curve)} "
        f"cuts. The largest, {curve.change[best]:+.3g}, is at {curve.cut[best]} dimensions. Below: "
        "the key of each eigenvalue and the gap at each cut. The numbers are in the table."
    )
    below.add("{handles}", handles=handles if name else Markup(""))
    return figure([above, below], words, height=412.0, name=name, data=geometry if name else "")


def forest(
    rows: Sequence[str],
    columns: Sequence[tuple[str, _Float64, _Float64 | None]],
    label: str,
    tolerance: float | None = None,
    x: Scale | None = None,
) -> Markup:
    """Values with intervals, a row each; `columns` are (name, values, intervals)."""
    every = [values for _, values, _ in columns]
    every += [ends.ravel() for _, _, ends in columns if ends is not None]
    threshold = tolerance or least(np.concatenate(every))
    x = x or spanning(np.concatenate(every), "symlog", threshold=threshold)
    step, top = 15.0 * len(columns) + 10.0, 30.0
    bottom = top + step * len(rows)
    longest = max(map(len, rows), default=0)
    panel = Panel(x, Scale(0, 1), left=22.0 + 7.4 * longest, top=top, bottom=bottom)
    panel.axes(label, y_ticks=[])
    for value in x.ticks():
        panel.upright(value, "grid")
    panel.upright(0.0, "zero")
    if tolerance is not None:
        for value in {-tolerance, tolerance} & {v for v in (-tolerance, tolerance) if v >= x.low}:
            panel.upright(value, "tolerance")
    for place, row in enumerate(rows):
        middle = 1 - (place + 0.5) / len(rows)
        panel.text(panel.left - 8, panel.at(0, middle)[1] + 4, row, "tick end strong")
        for part, (_, values, ends) in enumerate(columns):
            height = middle - (part - (len(columns) - 1) / 2) * 15.0 / (bottom - top)
            kind = series(part if len(columns) > 1 else place)
            if ends is not None and np.isfinite(ends[place]).all():
                low, high = map(float, ends[place])
                panel.segment((low, height), (high, height), f"whisker {kind}")
            panel.mark(float(values[place]), height, f"mark {kind}", SHAPES[part % 4])
    if len(columns) > 1:
        _key(panel, [name for name, _, _ in columns])
    words = f"{label} of {', '.join(rows)}: the numbers are in the table."
    return figure([panel], words, height=bottom + 44.0)


def _key(panel: Panel, names: Sequence[str]) -> None:
    """What the marks stand for, above the panel."""
    x = 16.0
    for part, name in enumerate(names):
        inside = Panel(Scale(0, 1), Scale(0, 1), left=x, right=x, top=12.0, bottom=12.0)
        inside.mark(0, 0, f"mark {series(part)}", SHAPES[part % 4])
        panel.add("{mark}", mark=inside.svg)
        panel.text(x + 8, 16.0, name, "tick")
        x += 26.0 + 7.2 * len(name)


def removal_lines(found: Removable, label: str, y: Scale | None = None) -> Markup:
    """Loss on fresh trials against the share of pairs removed, as found and at random."""
    tolerance = float(found.settings["tolerance"])
    floor = tolerance / 30
    losses = np.concatenate([found.curve[:, 2], found.random_curve[:, 2], [tolerance, floor]])
    known = losses[np.isfinite(losses) & (losses > floor)]
    y = y or Scale(floor, max(float(known.max(initial=tolerance)) * 1.5, 10 * tolerance), "log")
    panel = Panel(Scale(0, 1), y, top=14.0)
    panel.axes("share of pairs removed", label)
    panel.across(tolerance, "tolerance")
    panel.upright(found.pair_share, "given")
    for curve, kind, shape, words in (
        (found.random_curve, "s7", "square", "random order"),
        (found.curve, "s0", "circle", "order found"),
    ):
        points = [(float(a), max(float(c), floor)) for a, _, c in curve]
        panel.line(points, kind)
        for point in points:
            panel.mark(*point, f"mark {kind}", shape, 2.2)
        nearest = min(points, key=lambda point: abs(point[0] - 0.4))
        across, height = panel.at(*nearest)
        panel.text(across, height - 12, words, f"name end {kind}")
    words = (
        f"{label} against the share of pairs removed. The accepted set holds "
        f"{found.pair_share:.0%} of the pairs; in random order {found.random_pair_share:.0%} "
        f"can go at a loss of {tolerance:g}."
    )
    return figure([panel], words)


def account_bars(account: Account, label: str, names: Sequence[str]) -> Markup:
    """From mass to exact loss for some couplings, on the scale of all: where they are harmless."""
    levels = np.abs(np.cumprod(account.factors, axis=1)[:, [0, 1, 3, 4]])
    levels[:, 3] = np.abs(account.exact)
    tolerance = float(account.settings["tolerance"])
    known = levels[np.isfinite(levels) & (levels > 0)]
    lowest = min(float(known.min(initial=tolerance)), tolerance) / 3
    floor = max(lowest, float(known.max(initial=tolerance)) * 1e-7)
    y = Scale(floor, max(float(known.max(initial=tolerance)), tolerance) * 2, "log")
    panel = Panel(Scale(0, len(names)), y, bottom=222.0)
    panel.axes("", label, x_ticks=[])
    for place, name in enumerate(names):
        row = account.couplings.index(name)
        for stage, letter in enumerate("mare"):
            left = place + 0.12 + 0.19 * stage
            value = float(levels[row, stage])
            if np.isfinite(value):
                ends = (floor, max(value, floor))
                panel.bar((left, left + 0.16), ends, f"bar {series(place)} stage{stage}")
            across = panel.at(left + 0.08, floor)[0]
            panel.text(across, panel.bottom + 15, letter, "tick mid")
        panel.text(panel.at(place + 0.5, floor)[0], panel.bottom + 36, name, "tick mid strong")
    panel.across(tolerance, "tolerance")
    listed = ", ".join(names)
    words = f"{label} of {listed} by {', '.join(STAGES)}: the numbers are in the table."
    return figure([panel], words, height=268.0)


def kind_bars(shares: Sequence[tuple[str, float]]) -> Markup:
    """Shares of the mass by kind."""
    bottom = 12.0 + 26.0 * len(shares)
    panel = Panel(Scale(0, 1), Scale(0, len(shares)), left=104.0, right=WIDTH - 50, bottom=bottom)
    panel.axes("share of the mass", y_ticks=[])
    for place, (kind, share) in enumerate(shares):
        height = len(shares) - place - 0.5
        panel.text(panel.left - 8, panel.at(0, height)[1] + 4, kind, "tick end")
        panel.bar((0, share), (height - 0.32, height + 0.32), "bar plain")
        across = panel.at(share, 0)[0]
        panel.text(across + 6, panel.at(0, height)[1] + 4, f"{share:.0%}", "tick")
    listed = ", ".join(f"{share:.0%} {kind}" for kind, share in shares)
    return figure([panel], f"Shares of the mass: {listed}.", height=bottom + 44.0)


def null_scale(tests: Sequence[tuple[str, Null, int]], tolerance: float) -> Scale:
    """A scale for all draws of these tests."""
    values = [null.change[place] for _, null, place in tests]
    values += [v for _, null, place in tests for v in null.draws[place]]
    return spanning(values, "symlog", threshold=tolerance)


def null_ranges(tests: Sequence[tuple[str, Null, int]], label: str, x: Scale) -> Markup:
    """The middle 90% of the draws of each test, their median, and the ablation itself."""
    bottom = 12.0 + 26.0 * len(tests)
    longest = max(len(name) for name, _, _ in tests)
    panel = Panel(x, Scale(0, len(tests)), left=16.0 + 6.6 * longest, bottom=bottom)
    panel.axes(label, y_ticks=[])
    for value in x.ticks():
        panel.upright(value, "grid")
    panel.upright(0.0, "zero")
    for place, (name, null, test) in enumerate(tests):
        height = len(tests) - place - 0.5
        panel.text(panel.left - 8, panel.at(0, height)[1] + 4, name, "tick end")
        drawn = null.draws[test][np.isfinite(null.draws[test])]
        if drawn.size:
            low, middle, high = map(float, np.quantile(drawn, (0.05, 0.5, 0.95)))
            panel.bar((low, high), (height - 0.22, height + 0.22), "bar pale")
            panel.segment((middle, height - 0.3), (middle, height + 0.3), "median")
        panel.mark(float(null.change[test]), height, "mark s1", "diamond", 4.0)
    words = f"{label} of couplings beside random ablations: the numbers are in the table."
    return figure([panel], words, height=bottom + 44.0)


def dose_scale(doses: Sequence[Dose], tolerance: float) -> Scale:
    """A scale for all changes of these doses."""
    ends = np.concatenate([dose.interval.ravel() for dose in doses])
    return spanning(ends, "symlog", threshold=tolerance / 10)


def dose_lines(dose: Dose, label: str, y: Scale, names: Sequence[str]) -> Markup:
    """The change against the gain on some couplings."""
    order = np.argsort(dose.gains)
    gains = dose.gains[order]
    longest = max(map(len, names))
    panel = Panel(Scale(0.0, float(gains[-1])), y, right=WIDTH - 16 - 8.0 * longest)
    panel.axes("gain on the coupling (0 removes it, 1 leaves it)", label)
    panel.across(0.0, "zero")
    panel.upright(1.0, "given")
    ends = []
    for place, name in enumerate(names):
        kind, row = series(place), dose.names.index(name)
        with_one = np.insert(gains, np.searchsorted(gains, 1.0), 1.0)
        change = np.insert(dose.change[row, order], np.searchsorted(gains, 1.0), 0.0)
        low, high = np.insert(dose.interval[row, order], np.searchsorted(gains, 1.0), 0.0, 0).T
        panel.band(with_one, low, high, kind)
        panel.line(zip(with_one, change, strict=True), kind)
        for gain, value in zip(gains, dose.change[row, order], strict=True):
            panel.mark(float(gain), float(value), f"mark {kind}", SHAPES[place % 4], 2.6)
        if np.isfinite(change[-1]):
            ends.append((float(change[-1]), name, kind))
    panel.names_at_end(ends, panel.right + 8)
    words = f"{label} against the gain on {', '.join(names)}: the numbers are in the table."
    return figure([panel], words)


def spectrum(
    schur: OrderedSchur, n_R: int, alpha: float, *, name: str = "", radius: float = 0.0
) -> Markup:
    """Eigenvalues in the plane, R filled and C hollow, and the circle of radius αρ."""
    values = schur.eigenvalues
    reach = 1.08 * max(float(np.abs(values).max()), radius, 1e-12)
    panel = Panel(Scale(-reach, reach), Scale(-reach, reach), left=62.0, right=442.0, bottom=392.0)
    panel.axes("real part", "imaginary part")
    panel.across(0.0, "zero")
    panel.upright(0.0, "zero")
    (a, b), edge = panel.at(0, 0), panel.at(float(alpha * schur.rho), 0)[0]
    if schur.order == "modulus":
        template = '<circle class="circle" cx="{a:.1f}" cy="{b:.1f}" r="{r:.1f}"/>'
        panel.add(template, a=a, b=b, r=edge - a)
    for row, value in enumerate(values):
        x, y = panel.at(float(value.real), float(value.imag))
        panel.add(
            '<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4.2"/>',
            kind="eigenvalue in" if row < n_R else "eigenvalue",
            x=x,
            y=y,
        )
    words = (
        f"{len(values)} eigenvalues, spectral radius {schur.rho:.3g}; {n_R} lie in R (filled), the "
        "others in C (hollow)."
    )
    data = f' data-unit="{(panel.right - panel.left) / (2 * reach) * schur.rho:.4f}"'
    return figure([panel], words, height=434.0, name=name, data=data)


def trajectory_rows(found: Trajectories, trial: int, channel: int, *, name: str = "") -> Markup:
    """One channel of one trial: the target behind each network's output."""
    steps = found.targets.shape[1]
    top, height = 8.0, 62.0
    bottom = top + height * len(found.names)
    panel = Panel(Scale(0, max(steps - 1, 1)), Scale(0, 1), left=70.0, top=top, bottom=bottom)
    panel.axes("step", y_ticks=[])
    target = found.targets[trial, :, channel]
    outputs = found.outputs[:, trial, :, channel]
    low, high = row_range(target, outputs[0])
    for place, words in enumerate(found.names):
        inside = Panel(
            panel.x,
            Scale(low, high),
            left=panel.left,
            right=panel.right,
            top=top + height * place + 5,
            bottom=top + height * (place + 1) - 5,
        )
        inside.line(enumerate(target.tolist()), "target")
        inside.line(enumerate(outputs[place].tolist()), series(place - 1) if place else "full")
        middle = top + height * (place + 0.5) + 4
        inside.text(panel.left - 8, middle, f"−{words}" if place else words, "tick end strong")
        panel.add('<g class="row">{inside}</g>', inside=inside.svg)
    label = (
        f"Output channel {channel} on trial {found.trial[trial]}: target, full network, and "
        f"without {', '.join(found.names[1:])}."
    )
    data = f' data-left="{panel.left}" data-right="{panel.right}" data-top="{top}"'
    data += f' data-row="{height}"'
    return figure([panel], label, height=bottom + 40.0, name=name, data=data)


def row_range(
    target: npt.NDArray[np.float32], full: npt.NDArray[np.float32]
) -> tuple[float, float]:
    """The range of the target and the full network's output, with a margin."""
    known = np.concatenate([target, full]).astype(np.float64)
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    margin = 0.25 * ((high - low) or 1.0)
    return low - margin, high + margin
