"""Figures of a diagnosis: each part on Axes, and all of them on one page."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..ablation.measures import MEASURES
from .style import COLORS, INK, NORMAL, PALE, SMALL, WARNING, axes_or_new, tidy

if TYPE_CHECKING:
    from ..diagnosis.account import Account
    from ..diagnosis.atlas import Atlas
    from ..diagnosis.cuts import CutCurve
    from ..diagnosis.dose import Dose
    from ..diagnosis.removable import Removable
    from ..diagnosis.result import Diagnosis

__all__ = [
    "account_levels",
    "atlas_map",
    "cut_effects",
    "diagnosis_page",
    "dose_curves",
    "removal_curve",
]


def cut_effects(curve: CutCurve, alpha: float | None = None, ax: Axes | None = None) -> Axes:
    """The change without CR at every cut, with the relative moduli and the cut of `alpha`.

    Hollow points are cuts through near-tied eigenvalues, or cuts that rounding decides.
    """
    ax = axes_or_new(ax, (5.6, 3.2))
    firm = curve.determined & ~curve.tied
    low, high = curve.interval.T
    ax.fill_between(curve.cut, low, high, color=COLORS["CR"], alpha=0.25, lw=0)
    ax.plot(curve.cut, curve.change, color=COLORS["CR"], lw=1.2, label="change without CR")
    for which, face in ((firm, COLORS["CR"]), (~firm, "white")):
        ax.scatter(
            curve.cut[which],
            curve.change[which],
            s=16,
            facecolor=face,
            edgecolor=COLORS["CR"],
            linewidth=0.9,
            zorder=3,
            label=None if which is firm else "near tie or undetermined",
        )
    ax.axhline(0, color=PALE, lw=0.8, zorder=0)
    _label(ax, "dimensions in R", _change(curve))
    keys = ax.twinx()
    largest = float(curve.schur.keys.max()) or 1.0
    keys.plot(curve.cut, curve.key / largest, color=INK, lw=0.9, ls=":", label="relative key")
    keys.set_ylim(0, 1.05)
    keys.set_ylabel("key of the last block in R", fontsize=SMALL, color=INK)
    keys.tick_params(labelsize=SMALL, colors=INK, width=0.8)
    keys.spines["top"].set_visible(False)
    if alpha is not None and curve.schur.sectors(alpha).n_R < curve.schur.n_hidden:
        at = float(curve.cut[curve.at(alpha)])
        ax.axvline(at, color=INK, lw=0.9, ls="--", label=f"α = {alpha:g}")
    handles, labels = ax.get_legend_handles_labels()
    other_handles, other_labels = keys.get_legend_handles_labels()
    ax.legend(handles + other_handles, labels + other_labels, fontsize=SMALL - 1, frameon=False)
    return ax


def atlas_map(atlas: Atlas, ax: Axes | None = None) -> Axes:
    """The effects as a matrix of blocks: red raises the measure, blue lowers it.

    Lines part R and C. The scale is linear up to a hundredth of the largest effect and logarithmic
    beyond.
    """
    ax = axes_or_new(ax, (4.6, 4.0))
    effects = atlas.matrix()
    largest = float(np.nanmax(np.abs(effects), initial=0.0)) or 1.0
    norm = SymLogNorm(linthresh=largest / 100, vmin=-largest, vmax=largest)
    image = ax.imshow(effects, cmap="RdBu_r", norm=norm, interpolation="nearest")
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
    bar.set_label(_change(atlas), fontsize=SMALL, color=INK)
    bar.ax.tick_params(labelsize=SMALL - 1)
    sectors = atlas.schur.sectors(atlas.settings["alpha"])
    n_R, n_blocks = int((sectors.starts < sectors.n_R).sum()), len(sectors.starts)
    spans = {"RR": (0, 0, n_R, n_R), "CR": (n_R, 0, n_blocks - n_R, n_R)}
    spans["CC"] = (n_R, n_R, n_blocks - n_R, n_blocks - n_R)
    for name, (x, y, width, height) in spans.items():
        edge = Rectangle((x - 0.5, y - 0.5), width, height, fill=False, ec=COLORS[name], lw=1.2)
        ax.add_patch(edge)
    _label(ax, "from block", "to block")
    return tidy(ax)


def removal_curve(removable: Removable, ax: Axes | None = None) -> Axes:
    """Loss on fresh trials against the share of pairs removed, in the order found and at random."""
    ax = axes_or_new(ax, (5.0, 3.2))
    tolerance = float(removable.settings["tolerance"])
    floor = tolerance / 30
    for curve, color, name in (
        (removable.random_curve, PALE, "random order"),
        (removable.curve, COLORS["RR"], "order found"),
    ):
        loss = np.maximum(curve[:, 2], floor)
        ax.plot(curve[:, 0], loss, color=color, lw=1.6, marker="o", ms=2.5, label=name)
    ax.axhline(tolerance, color=WARNING, lw=0.9, ls="--", label=f"tolerance {tolerance:g}")
    ax.axvline(removable.pair_share, color=INK, lw=0.9, ls=":", label="accepted set")
    ax.set_yscale("log")
    ax.set_ylim(bottom=floor)
    _label(ax, "share of pairs removed", f"loss of {removable.settings['measure']} on fresh trials")
    ax.legend(fontsize=SMALL - 1, frameon=False)
    return tidy(ax)


def account_levels(account: Account, ax: Axes | None = None) -> Axes:
    """From mass to exact loss for each coupling, on a log scale: where it becomes harmless."""
    ax = axes_or_new(ax, (5.4, 3.2))
    levels = np.cumprod(account.factors, axis=1)[:, [0, 1, 3, 4]]
    tolerance = float(account.settings["tolerance"])
    floor = tolerance / 100
    width = 0.2
    for place, name in enumerate(account.couplings):
        heights = np.maximum(np.nan_to_num(np.abs(levels[place])), floor)
        x = np.arange(4) + (place - 1.5) * width
        ax.bar(x, heights - floor, width, bottom=floor, color=COLORS[name], label=name)
    ax.axhline(tolerance, color=WARNING, lw=0.9, ls="--", label=f"{tolerance:g}")
    ax.set_yscale("log")
    ax.set_xticks(range(4), ["mass", "activity", "reading", "exact"])
    _label(ax, "", _change(account))
    ax.legend(fontsize=SMALL - 1, frameon=False, ncols=3)
    return tidy(ax)


def dose_curves(dose: Dose, ax: Axes | None = None) -> Axes:
    """The change against the gain of each coupling; bands are intervals."""
    ax = axes_or_new(ax, (5.0, 3.2))
    order = np.argsort(dose.gains)
    for place, name in enumerate(dose.names):
        color = COLORS.get(name, INK)
        low, high = dose.interval[place, order].T
        ax.fill_between(dose.gains[order], low, high, color=color, alpha=0.2, lw=0)
        ax.plot(dose.gains[order], dose.change[place, order], color=color, lw=1.5, label=name)
    ax.axhline(0, color=PALE, lw=0.8, zorder=0)
    ax.set_yscale("symlog", linthresh=1e-3)
    _label(ax, "gain on the coupling", _change(dose))
    ax.legend(fontsize=SMALL - 1, frameon=False)
    return tidy(ax)


def diagnosis_page(diagnosis: Diagnosis) -> Figure:
    """All parts of a diagnosis on one page, with its verdicts and warnings."""
    figure = Figure(figsize=(11.0, 11.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(4, 2, height_ratios=(0.85, 1, 1.2, 1))
    text = figure.add_subplot(grid[0, :])
    text.set_axis_off()
    _words(text, diagnosis)
    panels = [figure.add_subplot(grid[1 + place // 2, place % 2]) for place in range(6)]
    if diagnosis.cuts is not None:
        cut_effects(diagnosis.cuts, diagnosis.profile.alpha, panels[0])
    diagnosis.profile.plot(panels[1])
    atlas_map(diagnosis.atlas, panels[2])
    if diagnosis.removable is not None:
        removal_curve(diagnosis.removable, panels[3])
    if diagnosis.account is not None:
        account_levels(diagnosis.account, panels[4])
    dose_curves(diagnosis.dose, panels[5])
    titles = (
        "removing CR at every cut",
        "",
        "every pair of blocks",
        "how much can go at once",
        "why: from mass to effect",
        "dose",
    )
    for panel, title in zip(panels, titles, strict=True):
        if title:
            panel.set_title(title, fontsize=NORMAL, color=INK, loc="left")
        if not panel.has_data():
            panel.set_axis_off()
            panel.text(0.5, 0.5, "not available", ha="center", color=PALE, fontsize=NORMAL)
    return figure


def _words(ax: Axes, diagnosis: Diagnosis) -> None:
    profile, sectors = diagnosis.profile, diagnosis.profile.sectors
    lines = [
        f"{profile.origin}; α {profile.alpha:g}: $n_R$ {sectors.n_R} of {profile.schur.n_hidden}; "
        f"full network {profile.value[0]:.4g}"
    ]
    parts: list[tuple[str, str]] = [(lines[0], INK)]
    parts += [(f"warning: {text}", WARNING) for text in diagnosis.warnings]
    parts += [
        (sentence, COLORS[name])
        for name, sentence in zip(diagnosis.couplings, diagnosis.verdicts, strict=True)
    ]
    if diagnosis.removable is not None:
        found = diagnosis.removable
        parts.append(
            (
                f"{found.pair_share:.0%} of the pairs and {found.mass_share:.0%} of the mass can "
                f"go at once at a loss of {found.settings['tolerance']:g}; in random order "
                f"{found.random_pair_share:.0%} and {found.random_mass_share:.0%}.",
                INK,
            )
        )
    wrapped = [
        (line, color) for words, color in parts for line in textwrap.wrap(words, 150) or [""]
    ]
    step = 1.0 / max(len(wrapped), 10)
    for place, (line, color) in enumerate(wrapped):
        ax.text(0.0, 1 - place * step, line, fontsize=NORMAL, color=color, va="top", wrap=False)


def _change(part: CutCurve | Atlas | Account | Dose) -> str:
    """The label of an axis of changes."""
    name = str(part.settings["measure"])
    return MEASURES[name].change_label if name in MEASURES else f"change of {name}"


def _label(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=SMALL, color=INK)
    ax.set_ylabel(y, fontsize=SMALL, color=INK)
    ax.tick_params(labelsize=SMALL, colors=INK, width=0.8)
