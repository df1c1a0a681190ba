"""Figures of the diagnoses of a sweep: cut curves of many networks, removable shares by width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from ..sweep.diagnoses import summarize_cuts
from .style import COLORS, INK, NORMAL, OTHER, PALE, SMALL, axes_or_new, save_figure, tidy
from .sweeps import group_means, of_one_kind, panels, quantity_label, width_axis

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["network_cuts", "removable_by_width", "save_cut_figures", "save_removable_figures"]

_AXES = {"cut": "dimensions in R", "from_gap": "dimensions in R, from the largest gap"}
_SHARES = (
    ("pair_share", "pairs", INK, "-"),
    ("mass_share", "mass", INK, ":"),
    ("random_pair_share", "pairs, random", OTHER, "-"),
    ("random_mass_share", "mass, random", OTHER, ":"),
)


def network_cuts(curves: pd.DataFrame, by: str = "cut", *, ax: Axes | None = None) -> Axes:
    """Cut curves of several networks: a thin line each, and their mean with its t-interval.

    Only networks that passed their gate are shown. The mean is drawn where at least half of them,
    and three, have a block boundary; the axis spans the networks' curves, not the interval.

    Parameters
    ----------
    curves : DataFrame
        Rows of `schurscope.sweep.cut_curves` of one task, construction, width and any gate.
    by : {"cut", "from_gap"}
        Align the curves by the number of dimensions in R, or by the largest gap.
    ax : matplotlib Axes, optional
    """
    gate = ["gate"] if "gate" in curves else []
    curves = of_one_kind(curves, ("task", "recurrent", "N_h", *gate))
    ax = axes_or_new(ax, (4.4, 3.0))
    color, passed = COLORS["CR"], curves[curves["passed"]]
    networks: Any = passed.groupby("key", observed=True, sort=False)
    for _, mine in networks:
        ax.plot(mine[by], mine["change"], color=color, lw=0.6, alpha=0.35, zorder=2)
    if len(passed):
        mean = summarize_cuts(passed, by, n_resamples=2)  # the band is the t-interval
        mean = mean[mean["n"] >= max(3, passed["key"].nunique() / 2)]
        x = mean[by].to_numpy(dtype=np.float64)
        known = np.append(passed["change"][np.isfinite(passed["change"])], 0.0)
        low, high = float(known.min()), float(known.max())
        margin = 0.08 * (high - low) if high > low else 1.0
        ax.fill_between(x, mean["t_low"], mean["t_high"], color=color, alpha=0.2, lw=0, zorder=1)
        ax.plot(x, mean["mean"], color=color, lw=1.8, label="mean, 95 % t-interval", zorder=3)
        # Wide intervals of few networks must not flatten the curves.
        ax.set_ylim(low - margin, high + margin)
        ax.legend(fontsize=SMALL, frameon=False)
    else:
        ax.text(0.5, 0.5, "no network passed its gate", transform=ax.transAxes, ha="center")
    ax.axhline(0.0, color=PALE, lw=0.8, zorder=0)
    if by == "from_gap":
        ax.axvline(0.0, color=INK, lw=0.9, ls="--", zorder=0)
    ax.set_xlabel(_AXES[by], fontsize=NORMAL, color=INK)
    ax.set_ylabel(f"{quantity_label(curves, 'change')} without CR", fontsize=NORMAL, color=INK)
    of_gate = f", gate {curves['gate'].iloc[0]}" if gate else ""
    title = f"{_title(curves)}, $N_h$ {curves['N_h'].iloc[0]}{of_gate}"
    ax.set_title(title, fontsize=NORMAL, color=INK)
    return tidy(ax)


def removable_by_width(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Shares of pairs and mass that can go at once against N_h, beside random orders.

    A point per network that passed its gate, a line through the means, ± SEM.

    Parameters
    ----------
    table : DataFrame
        Rows of `schurscope.sweep.diagnoses` of one task and construction.
    ax : matplotlib Axes, optional
    """
    table = of_one_kind(table, ("task", "recurrent"))
    ax = axes_or_new(ax, (4.8, 3.0))
    for place, (name, words, color, style) in enumerate(_SHARES):
        known = table[table["passed"] & np.isfinite(table[name])]
        if not len(known):
            continue
        width = known["N_h"].to_numpy(dtype=np.float64)
        share = known[name].to_numpy(dtype=np.float64)
        shift = 2 ** (0.03 * (place - 1.5))  # so that the points stay apart
        ax.scatter(width * shift, share, s=7, color=color, alpha=0.45, linewidth=0, zorder=2)
        at, mean, sem = group_means(width, share)
        bars: dict[str, Any] = {"yerr": sem, "color": color, "ls": style, "lw": 1.3, "capsize": 2.0}
        ax.errorbar(at * shift, mean, label=words, zorder=3, **bars)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=SMALL, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    else:
        ax.text(0.5, 0.5, "nothing to show", transform=ax.transAxes, ha="center")
    width_axis(ax, sorted(table["N_h"].unique()))
    ax.set_ylim(0.0, 1.0)
    tolerance = float(table["tolerance"].iloc[0])
    ax.set_ylabel(f"share removed at a loss ≤ {tolerance:g}", fontsize=NORMAL, color=INK)
    ax.set_title(_title(table), fontsize=NORMAL, color=INK)
    return tidy(ax)


def save_removable_figures(table: pd.DataFrame, folder: Path) -> list[str]:
    """Write a figure of removable shares for every task and construction; return the files' names.

    Parameters
    ----------
    table : DataFrame
        `schurscope.sweep.diagnoses`.
    folder : Path
        An existing folder.
    """
    names = []
    for stem, mine in _kinds(table):
        names.append(f"{stem}-removable.png")
        save_figure(removable_by_width(mine).figure, folder / names[-1])
    return names


def save_cut_figures(curves: pd.DataFrame, folder: Path) -> list[str]:
    """Write a figure of cut curves for every task, construction and gate; return the files' names.

    Parameters
    ----------
    curves : DataFrame
        `schurscope.sweep.cut_curves`.
    folder : Path
        An existing folder.
    """
    names = []
    for stem, mine in _kinds(curves):
        widths = sorted(mine["N_h"].unique())
        figure, axes = panels(len(widths), 4.4, rows=2)
        for column, width in enumerate(widths):
            for row, by in enumerate(_AXES):
                network_cuts(mine[mine["N_h"] == width], by, ax=axes[row][column])
        names.append(f"{stem}-cuts.png")
        save_figure(figure, folder / names[-1])
    return names


def _kinds(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each task and construction, and the stem of their files' names."""
    names = ["task", "recurrent", *(["gate"] if "gate" in table else [])]
    kinds: Any = table.groupby(names, observed=True, sort=False)
    for kind, mine in kinds:
        yield "-".join(map(str, kind)).replace("/", "-").replace(" ", "-"), mine


def _title(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return f"{first['task']}, {first['recurrent']}"
