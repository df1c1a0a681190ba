"""Bars of the effects of ablations, with a point per seed and the paper's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..ablation.profile import AblationProfile
from .style import INK, NORMAL, OTHER, PALE, SMALL, WARNING, axes_or_new, color_of, label, tidy

BAR_ALPHA, HATCH = 0.55, "////"

_Float64: TypeAlias = NDArray[np.float64]


Profiles: TypeAlias = AblationProfile | Sequence[AblationProfile]
"""A profile, or those of the seeds of one experiment."""

Published: TypeAlias = Mapping[str, tuple[float, float | None]]
"""Ablation name → (mean, SEM or None), as published."""


def legend_handles(*, vacuous: bool = False, paper: str = "paper ± SEM") -> list[Artist]:
    """Legend entries for the marks of bar plots, for a legend of the whole figure."""
    handles: list[Artist] = [
        Patch(facecolor=OTHER, alpha=BAR_ALPHA, label="mean over seeds"),
        Line2D([], [], marker="o", ls="", ms=4, color=OTHER, label="one seed"),
        Line2D([], [], marker="D", ls="", ms=5, mfc="white", mec=INK, label=paper),
    ]
    if vacuous:
        text = "vacuous: nothing is removed"
        handles.insert(0, Patch(facecolor="white", edgecolor=OTHER, hatch=HATCH, label=text))
    return handles


def value_bars(
    profiles: Profiles,
    *,
    paper: Published | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The measure itself for every ablation, the full network included."""
    several = profile_list(profiles)
    ax = _bars(several, several[0].names, "value", paper, ax)
    measure = several[0].definition
    ax.set_ylabel(measure.axis_label, fontsize=NORMAL, color=INK)
    if measure.limits is not None:
        low, high = measure.limits
        ax.set_ylim(low, high + 0.05 * (high - low))
        ax.axhline(several[0].chance, color=PALE, lw=0.8, zorder=0)
    return ax


def change_bars(
    profiles: Profiles,
    *,
    paper: Published | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The change under each ablation: ΔFVU, or the change of an accuracy or a score.

    Parameters
    ----------
    profiles : AblationProfile or sequence of them
        Several are seeds of one experiment: bars are means, each seed is a point.
    paper : mapping, optional
        Ablation name → published (mean, SEM or None), marked beside the bar.
    ax : matplotlib Axes, optional
    """
    several = profile_list(profiles)
    names = [name for name in several[0].names if name != "full"]
    ax = _bars(several, names, "change", paper, ax)
    ax.set_ylabel(several[0].definition.change_label, fontsize=NORMAL, color=INK)
    return ax


def sensitivity_bars(
    profiles: Profiles,
    *,
    paper: Published | None = None,
    ax: Axes | None = None,
) -> Axes:
    """S_ΔT, the change per unit of removed Schur mass; see :func:`change_bars` for the rest."""
    several = profile_list(profiles)
    names = [name for name in several[0].names if name != "full"]
    ax = _bars(several, names, "sensitivity", paper, ax)
    ax.set_ylabel("$S_{ΔT}$", fontsize=NORMAL, color=INK)
    return ax


def profile_list(profiles: Profiles) -> list[AblationProfile]:
    """One or several profiles as a list; ValueError unless ablations and measure agree."""
    several = list(profiles) if isinstance(profiles, Sequence) else [profiles]
    if not several:
        raise ValueError("profiles must hold at least one profile, got none")
    if any(tuple(profile.names) != tuple(several[0].names) for profile in several):
        raise ValueError("profiles must have the same ablations in the same order")
    if any(profile.definition.name != several[0].definition.name for profile in several):
        raise ValueError("profiles must have the same measure")
    return several


def _bars(
    profiles: Sequence[AblationProfile],
    names: Sequence[str],
    quantity: str,
    paper: Published | None,
    ax: Axes | None,
) -> Axes:
    """Mean bars with every seed as a point, and the published values as diamonds."""
    ax = axes_or_new(ax, (1.4 + 0.62 * len(names), 3.0))
    rows = [list(profiles[0].names).index(name) for name in names]
    values = np.array([getattr(profile, quantity)[rows] for profile in profiles])
    seeds = len(profiles)
    n_vacuous = np.sum([profile.vacuous[rows] for profile in profiles], axis=0).tolist()
    vacuous = [count == seeds for count in n_vacuous]
    undetermined = sum(not profile.determined for profile in profiles)
    spread = np.linspace(-0.16, 0.16, seeds) if seeds > 1 else np.zeros(1)
    # Of one network, what is known is how well its trials determine the value.
    ends = getattr(profiles[0].interval(), quantity)[rows] if seeds == 1 else None
    marks = paper or {}
    for place, name in enumerate(names):
        color = color_of(name)
        mine = values[:, place]
        if np.isfinite(mine).any():
            is_noise = undetermined == seeds and name != "full"
            fill = _fill(color, vacuous[place], is_noise)
            ax.bar(place, np.nanmean(mine), width=0.62, zorder=2, **fill)
            ax.scatter(
                place + spread, mine, s=15, color=color, edgecolor="white", linewidth=0.6, zorder=4
            )
            if ends is not None and np.isfinite(ends[place]).all():
                ax.vlines(place, *ends[place], color=INK, lw=1.1, zorder=5)
        if vacuous[place] or not np.isfinite(mine).any():
            word = "vacuous" if vacuous[place] else "diverged"
            mark = ax.text(place, 0.0, f"  {word}", rotation=90, color=INK, zorder=6)
            mark.set(ha="center", va="bottom", fontsize=SMALL)
            if np.any(mine):  # on a hatched bar
                mark.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
        if name in marks:
            mean, sem = marks[name]
            ax.errorbar(
                place + 0.36,
                mean,
                yerr=sem,
                fmt="D",
                ms=4.8,
                mfc="white",
                mec=INK,
                mew=1.1,
                ecolor=INK,
                elinewidth=1.1,
                capsize=2.0,
                zorder=5,
            )
    ax.axhline(0.0, color=INK, lw=0.8, zorder=3)
    ax.set_xticks(range(len(names)))
    ticks = [label(name).replace(" ", "\n") for name in names]
    for place, count in enumerate(n_vacuous):
        if 0 < count < seeds:
            ticks[place] += f"\n{count} of {seeds}\nvacuous"
    ax.set_xticklabels(ticks)
    ax.set_xlim(-0.6, len(names) - 0.3)
    tidy(ax)
    ax.tick_params(axis="x", length=0)
    if undetermined:
        text = "cut not determined" + (f" in {undetermined} of {seeds}" if seeds > 1 else "")
        ax.annotate(
            text, (1.0, 1.0), xycoords="axes fraction", ha="right", va="top", color=WARNING
        ).set_fontsize(SMALL)
    return ax


def _fill(color: str, is_vacuous: bool, is_noise: bool) -> dict[str, Any]:
    if is_vacuous:
        return {"facecolor": "white", "edgecolor": color, "hatch": HATCH, "linewidth": 0.8}
    if is_noise:  # the cut, and with it the meaning of the ablation, is not determined
        return {"facecolor": "white", "edgecolor": color, "linestyle": "--", "linewidth": 1.0}
    return {"facecolor": color, "alpha": BAR_ALPHA, "linewidth": 0}
