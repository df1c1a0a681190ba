"""Figures of a sweep: effects over seeds and widths, and quantities against width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter
from numpy.typing import NDArray

from ..ablation.measures import MEASURES
from .bars import Published
from .style import INK, NORMAL, OTHER, PALE, SMALL, axes_or_new, color_of, label, save_figure, tidy

if TYPE_CHECKING:
    import pandas as pd

NAMES = {"sensitivity": "$S_{ΔT}$", "n_R": "$n_R$", "removed_mass": "removed mass"}

_Float64 = NDArray[np.float64]


def effect_distributions(
    rows: pd.DataFrame,
    quantity: str = "change",
    *,
    paper: Published | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Effects of ablations as distributions over networks: Figure 2 with more than three seeds.

    Each ablation has one column of points per width, narrow to wide from left to right, with a
    point per network and a box of median and quartiles. Open points failed their gate and do not
    enter the boxes; ablations that are vacuous in every network are labelled so.

    Parameters
    ----------
    rows : DataFrame
        Rows of `schurscope.sweep.Collection` of one task, construction and alpha.
    quantity : {"change", "value", "sensitivity", "removed_mass"}
    paper : mapping, optional
        Ablation name → published (mean, SEM or None), marked beside the boxes.
    ax : matplotlib Axes, optional
    """
    rows = of_one_kind(rows, ("task", "recurrent", "alpha"))
    names = [name for name in rows["ablation"].unique() if name != "full" or quantity == "value"]
    widths = sorted(rows["N_h"].unique())
    ax = axes_or_new(ax, (_width(len(names), len(widths)), 3.0))
    step = 0.8 / len(widths)
    for place, name in enumerate(names):
        color = color_of(name)
        every = rows[rows["ablation"] == name]
        if every["vacuous"].all():
            ax.text(place, 0.0, "vacuous\n", ha="center", va="bottom", fontsize=SMALL, color=OTHER)
            continue
        for column, width in enumerate(widths):
            mine = every[every["N_h"] == width]
            numbers = mine[quantity].to_numpy(dtype=np.float64, na_value=np.nan)
            kept = np.isfinite(numbers)
            passed = mine["passed"].to_numpy(dtype=np.bool_)
            x = place + (column - (len(widths) - 1) / 2) * step
            spread = x + step * np.linspace(-0.25, 0.25, len(numbers))
            faces = np.where(passed, color, "white")[kept].tolist()
            ax.scatter(
                spread[kept], numbers[kept], s=9, c=faces, edgecolor=color, linewidth=0.5, zorder=3
            )
            _box(ax, x, numbers[kept & passed], step, color)
        if paper is not None and name in paper:
            mean, sem = paper[name]
            ax.errorbar(
                place + 0.48,
                mean,
                yerr=sem,
                fmt="D",
                ms=4.8,
                mfc="white",
                mec=INK,
                ecolor=INK,
                capsize=2.0,
                zorder=5,
            )
    ax.axhline(0.0, color=INK, lw=0.8, zorder=1)
    ax.set_xticks(range(len(names)))
    ax.set_xticklabels([label(name).replace(" ", "\n") for name in names])
    ax.set_xlim(-0.6, len(names) - 0.4)
    if len(widths) > 1:
        listed = ", ".join(str(width) for width in widths)
        ax.set_xlabel(f"from left to right $N_h$ {listed}", fontsize=SMALL, color=INK)
    ax.set_ylabel(quantity_label(rows, quantity), fontsize=NORMAL, color=INK)
    ax.set_title(_title(rows), fontsize=NORMAL, color=INK)
    tidy(ax)
    ax.tick_params(axis="x", length=0)
    return ax


def quantity_against_width(
    rows: pd.DataFrame, quantity: str = "n_R", *, ax: Axes | None = None
) -> Axes:
    """A quantity against N_h: a point per network, a line through the means, ± SEM.

    One line per ablation; n_R, which no ablation changes, has a single line, or one for each gate
    of gated networks. Only networks that passed their gate are shown.

    Parameters
    ----------
    rows : DataFrame
        Rows of `schurscope.sweep.Collection` of one task, construction and alpha.
    quantity : {"n_R", "change", "value", "sensitivity", "removed_mass"}
    ax : matplotlib Axes, optional
    """
    rows = of_one_kind(rows, ("task", "recurrent", "alpha"))
    ax = axes_or_new(ax, (3.6, 3.0))
    of_network = quantity == "n_R"
    if of_network:
        names = _one_for_each_cut(rows)
    else:
        names = {name: label(name) for name in rows["ablation"].unique() if name != "full"}
    for place, (name, words) in enumerate(names.items()):
        mine = rows[(rows["ablation"] == name) & rows["passed"]]
        numbers = mine[quantity].to_numpy(dtype=np.float64, na_value=np.nan)
        kept = np.isfinite(numbers)
        width, numbers = mine["N_h"].to_numpy(dtype=np.float64)[kept], numbers[kept]
        if not len(numbers):
            continue
        shift = 2 ** (0.03 * (place - (len(names) - 1) / 2))  # so that the points stay apart
        color = color_of(name)
        ax.scatter(width * shift, numbers, s=7, color=color, alpha=0.45, linewidth=0, zorder=2)
        at, mean, sem = group_means(width, numbers)
        ax.errorbar(
            at * shift,
            mean,
            yerr=sem,
            color=color,
            lw=1.3,
            capsize=2.0,
            label=words,
            zorder=3,
        )
    if not ax.has_data():
        ax.text(0.5, 0.5, "no network passed its gate", transform=ax.transAxes, ha="center")
    width_axis(ax, sorted(rows["N_h"].unique()))
    ax.set_ylabel(quantity_label(rows, quantity), fontsize=NORMAL, color=INK)
    ax.set_title(_title(rows), fontsize=NORMAL, color=INK)
    if of_network:
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        ax.axhline(0.0, color=PALE, lw=0.8, zorder=0)
    if (len(names) > 1 or not of_network) and ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=SMALL, frameon=False)
    return tidy(ax)


def _one_for_each_cut(rows: pd.DataFrame) -> dict[str, str]:
    """The full network, or in gated networks one ablation of each gate: its name → the gate."""
    if rows["n_R"].notna().all():
        return {"full": "full"}
    of_gates = rows.loc[rows["n_R"].notna(), "ablation"].unique()
    first: dict[str, str] = {}
    for name in of_gates:
        first.setdefault(name.partition(":")[0], name)
    return {name: gate for gate, name in first.items()}


def spectra_against_width(
    moduli: Mapping[int, Sequence[_Float64]], *, alpha: float = 0.9, ax: Axes | None = None
) -> Axes:
    """Moduli of the eigenvalues over ρ against rank over N_h: a thin line per network, bold means.

    Parameters
    ----------
    moduli : mapping
        N_h → the moduli of each network of that width, (N_h,) in any order; of a gated network
        those of its gates, (gates, N_h), a line each.
    alpha : float
        Cut of the spectrum, drawn as a line.
    ax : matplotlib Axes, optional
    """
    ax = axes_or_new(ax, (3.6, 3.0))
    shades = np.linspace(0.25, 0.95, max(2, len(moduli)))
    for shade, (width, networks) in zip(shades, sorted(moduli.items()), strict=False):
        color = (0.0, 0.45 * float(shade), 0.7 * float(shade))
        rank = (np.arange(width) + 0.5) / width
        each = np.concatenate([np.atleast_2d(one) for one in networks])
        curves = np.sort(each, axis=1)[:, ::-1] / each.max(axis=1, keepdims=True)
        ax.plot(rank, curves.T, color=color, lw=0.4, alpha=0.35, zorder=2)
        ax.plot(rank, curves.mean(axis=0), color=color, lw=1.5, label=f"{width}", zorder=3)
    ax.axhline(alpha, color=PALE, lw=0.8, zorder=1)
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, 1.05)
    ax.set_xlabel("rank / $N_h$", fontsize=NORMAL, color=INK)
    ax.set_ylabel("|λ| / ρ", fontsize=NORMAL, color=INK)
    ax.legend(title="$N_h$", title_fontsize=SMALL, fontsize=SMALL, frameon=False)
    return tidy(ax)


def save_sweep_figures(
    rows: pd.DataFrame,
    spectra: Mapping[tuple[str, str], Mapping[int, Sequence[_Float64]]],
    folder: Path,
) -> list[str]:
    """Write the figures of every task, construction and alpha; return the names of the files.

    Parameters
    ----------
    rows : DataFrame
        `schurscope.sweep.Collection.rows`, not empty.
    spectra : mapping
        (task, construction) → moduli as `spectra_against_width` takes them.
    folder : Path
        An existing folder.
    """
    names = []
    kinds: Any = rows.groupby(["task", "recurrent", "alpha"], observed=True, sort=False)
    for (task, recurrent, alpha), part in kinds:
        stem = f"{task}-{recurrent}-alpha{alpha:g}".replace("/", "-").replace(" ", "-")
        for kind, figure in _figures(part, spectra[str(task), str(recurrent)], float(alpha)):
            names.append(f"{stem}-{kind}.png")
            save_figure(figure, folder / names[-1])
    return names


def _figures(
    rows: pd.DataFrame, moduli: Mapping[int, Sequence[_Float64]], alpha: float
) -> Iterator[tuple[str, Figure]]:
    size = _width(len(rows["ablation"].unique()) - 1, len(rows["N_h"].unique()))
    effects, (change, sensitivity) = panels(2, size)
    effect_distributions(rows, "change", ax=change)
    effect_distributions(rows, "sensitivity", ax=sensitivity)
    yield "effects", effects
    widths, (n_R, against, spectra) = panels(3, 3.6)
    quantity_against_width(rows, "n_R", ax=n_R)
    quantity_against_width(rows, "sensitivity", ax=against)
    spectra_against_width(moduli, alpha=alpha, ax=spectra)
    yield "widths", widths


def panels(count: int, width: float, rows: int = 1) -> tuple[Figure, Any]:
    """A figure with `count` panels of this width in each row, and its Axes, (count,) or 2-D."""
    figure = Figure(figsize=(count * width, 3.0 * rows), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, count, squeeze=False)
    return figure, axes[0] if rows == 1 else axes


def _width(n_ablations: int, n_widths: int) -> float:
    """Width of a panel of distributions, in inches."""
    return 1.4 + 0.16 * n_ablations * (1 + n_widths)


def _box(ax: Axes, x: float, numbers: _Float64, step: float, color: str) -> None:
    """Median and quartiles."""
    if len(numbers) < 3:
        return
    low, middle, high = np.quantile(numbers, [0.25, 0.5, 0.75])
    half = 0.4 * step
    ax.bar(x, high - low, 2 * half, low, color=color, alpha=0.25, linewidth=0, zorder=2)
    ax.plot([x - half, x + half], [middle, middle], color=color, lw=1.6, zorder=4)


def group_means(width: _Float64, numbers: _Float64) -> tuple[_Float64, _Float64, _Float64]:
    """Widths, means and standard errors; NaN for the error of one network."""
    at = np.unique(width)
    groups = [numbers[width == one] for one in at]
    sem = [g.std(ddof=1) / np.sqrt(len(g)) if len(g) > 1 else np.nan for g in groups]
    return at, np.array([group.mean() for group in groups]), np.array(sem)


def width_axis(ax: Axes, widths: Sequence[int]) -> None:
    """Label the x axis with these widths, on a scale of doublings."""
    ax.set_xscale("log", base=2)
    ax.set_xticks(widths)
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("$N_h$", fontsize=NORMAL, color=INK)


def of_one_kind(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The rows; ValueError if there are none, or if they mix kinds."""
    for name in names:
        found = list(rows[name].unique())
        if len(found) != 1:
            raise ValueError(f"rows must be of one {name}, got {len(found)}: {found[:5]}")
    return rows


def quantity_label(rows: pd.DataFrame, quantity: str) -> str:
    """What an axis calls the quantity, by the measure of the rows."""
    measure = MEASURES[str(rows["measure"].iloc[0])]
    return {"value": measure.axis_label, "change": measure.change_label, **NAMES}[quantity]


def _title(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return f"{first['task']}, {first['recurrent']}, α = {first['alpha']:g}"
