"""Figures of a diagnosis: each part on Axes, and all of them on one page."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..ablation.measures import MEASURES
from ..coordinates.sectors import COUPLINGS
from .style import COLORS, INK, NORMAL, PALE, SMALL, WARNING, axes_or_new, tidy

if TYPE_CHECKING:
    from ..ablation.profile import AblationProfile
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
    "gate_effects",
    "removal_curve",
]


_DASHES = ("--", ":", "-.", (0, (1, 3)))  # of gates


def cut_effects(curve: CutCurve, alpha: float | None = None, ax: Axes | None = None) -> Axes:
    """The change without CR at every cut, with the relative moduli and the cut of `alpha`.

    Hollow points are cuts through near-tied eigenvalues, or cuts that rounding decides.
    """
    ax = axes_or_new(ax, (5.6, 3.2))
    if curve.gate:
        ax.set_title(f"gate {curve.gate}", fontsize=SMALL, color=INK)
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


def gate_effects(profile: AblationProfile, ax: Axes | None = None) -> Axes:
    """The change without each coupling, in all gates together and in each, with 95 % intervals.

    Of the vanilla cell, the bars of all ablations: `AblationProfile.plot`. The profile must hold
    RR, CR, CC and BB, as by default.
    """
    if not profile.gates:
        return profile.plot(ax)
    ax = axes_or_new(ax, (5.6, 3.2))
    groups, ends = ("", *profile.gates), profile.interval().change
    for group, gate in enumerate(groups):
        for place, coupling in enumerate(COUPLINGS):
            row = profile.names.index(f"{gate}:{coupling}" if gate else coupling)
            x, label = group + 0.2 * (place - 1.5), None if gate else coupling
            ax.bar(x, profile.change[row], 0.18, color=COLORS[coupling], alpha=0.6, label=label)
            ax.vlines(x, *ends[row], color=INK, lw=0.9)
    ax.axhline(0, color=INK, lw=0.8)
    ax.set_xticks(range(len(groups)), ["all gates", *profile.gates])
    _label(ax, "", profile.definition.change_label)
    ax.legend(fontsize=SMALL - 1, frameon=False)
    return tidy(ax)


def atlas_map(atlas: Atlas, ax: Axes | None = None, *, gate: str | None = None) -> Axes:
    """The effects as a matrix of blocks: red raises the measure, blue lowers it.

    Lines part R and C. The scale is linear up to a hundredth of the largest effect, over all gates,
    and logarithmic beyond.

    Parameters
    ----------
    atlas : Atlas
    ax : matplotlib Axes, optional
    gate : str, optional
        The gate of a gated network whose blocks are shown.
    """
    ax = axes_or_new(ax, (4.6, 4.0))
    effects = atlas.matrix(gate)
    largest = float(np.nanmax(np.abs(atlas.effect), initial=0.0)) or 1.0
    if gate:
        ax.set_title(f"gate {gate}", fontsize=SMALL, color=INK)
    norm = SymLogNorm(linthresh=largest / 100, vmin=-largest, vmax=largest)
    image = ax.imshow(effects, cmap="RdBu_r", norm=norm, interpolation="nearest")
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
    bar.set_label(_change(atlas), fontsize=SMALL, color=INK)
    bar.ax.tick_params(labelsize=SMALL - 1)
    sectors = atlas.coordinates[gate].sectors(atlas.settings["alpha"])
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
    """From mass to exact loss for each coupling, on a log scale: where it becomes harmless.

    In a gated network, the bars of a coupling are those of the gates, in order.
    """
    ax = axes_or_new(ax, (5.4, 3.2))
    levels = np.cumprod(account.factors, axis=1)[:, [0, 1, 3, 4]]
    tolerance = float(account.settings["tolerance"])
    floor = tolerance / 100
    gates = list(dict.fromkeys(name.rpartition(":")[0] for name in account.couplings))
    width = 0.8 / len(account.couplings)
    for place, name in enumerate(account.couplings):
        gate, _, coupling = name.rpartition(":")
        heights = np.maximum(np.nan_to_num(np.abs(levels[place])), floor)
        slot = COUPLINGS.index(coupling) * len(gates) + gates.index(gate)
        x = np.arange(4) + (slot - (len(account.couplings) - 1) / 2) * width
        label = coupling if gate == gates[0] else None
        ax.bar(x, heights - floor, width, bottom=floor, color=COLORS[coupling], label=label)
    ax.axhline(tolerance, color=WARNING, lw=0.9, ls="--", label=f"{tolerance:g}")
    ax.set_yscale("log")
    ax.set_xticks(range(4), ["mass", "activity", "reading", "exact"])
    _label(ax, f"bars: gates {', '.join(gates)}" if gates[0] else "", _change(account))
    ax.legend(fontsize=SMALL - 1, frameon=False, ncols=3)
    return tidy(ax)


def dose_curves(dose: Dose, ax: Axes | None = None) -> Axes:
    """The change against the gain of each coupling; bands are intervals.

    Thin lines are single gates, each gate with a dash of its own.
    """
    ax = axes_or_new(ax, (5.0, 3.2))
    order = np.argsort(dose.gains)
    gates = list(dict.fromkeys(name.rpartition(":")[0] for name in dose.names))
    for place, name in enumerate(dose.names):
        gate, _, coupling = name.rpartition(":")
        color = COLORS.get(coupling, INK)
        style: dict[str, Any] = {"color": color, "lw": 1.5, "label": name}
        if gate:
            dash = _DASHES[gates.index(gate) % len(_DASHES)]
            style = {"color": color, "lw": 0.8, "ls": dash}
        else:
            low, high = dose.interval[place, order].T
            ax.fill_between(dose.gains[order], low, high, color=color, alpha=0.2, lw=0)
        ax.plot(dose.gains[order], dose.change[place, order], **style)
    for gate in filter(None, gates):
        dash = _DASHES[gates.index(gate) % len(_DASHES)]
        ax.plot([], [], color=PALE, lw=0.8, ls=dash, label=f"gate {gate}")
    ax.axhline(0, color=PALE, lw=0.8, zorder=0)
    ax.set_yscale("symlog", linthresh=1e-3)
    _label(ax, "gain on the coupling", _change(dose))
    ax.legend(fontsize=SMALL - 1, frameon=False)
    return tidy(ax)


def diagnosis_page(diagnosis: Diagnosis) -> Figure:
    """All parts of a diagnosis on one page, with its verdicts and warnings."""
    gates = diagnosis.profile.coordinates.gates
    figure, (text, cuts, maps, bars, removal, levels, doses) = _page(len(gates))
    text[0].set_axis_off()
    _words(text[0], diagnosis)
    for gate, curve, pairs in zip(gates, cuts, maps, strict=True):
        if gate in diagnosis.curves:
            cut_effects(diagnosis.curves[gate], diagnosis.profile.alpha, curve)
        atlas_map(diagnosis.atlas, pairs, gate=gate or None)
    gate_effects(diagnosis.profile, bars[0])
    if diagnosis.removable is not None:
        removal_curve(diagnosis.removable, removal[0])
    if diagnosis.account is not None:
        account_levels(diagnosis.account, levels[0])
    dose_curves(diagnosis.dose, doses[0])
    titles = (
        (cuts, "removing CR at every cut"),
        (maps, "every pair of blocks"),
        (bars, "each coupling of each gate" if gates[0] else ""),
        (removal, "how much can go at once"),
        (levels, "why: from mass to effect"),
        (doses, "dose"),
    )
    for panels, title in titles:
        for gate, panel in zip(gates, panels, strict=False):
            of_gate = f" of {gate}" if len(panels) > 1 else ""
            if title:
                panel.set_title("")  # a gate's own
                panel.set_title(title + of_gate, fontsize=NORMAL, color=INK, loc="left")
            if not panel.has_data():
                panel.set_axis_off()
                panel.text(0.5, 0.5, "not available", ha="center", color=PALE, fontsize=NORMAL)
    return figure


def _page(n_gates: int) -> tuple[Figure, list[list[Axes]]]:
    """The page and its panels, top to bottom: text, cuts, pairs, and four others.

    Cuts and pairs have a panel for each gate, and rows of their own if there are several.
    """
    several = n_gates > 1
    figure = Figure(figsize=(11.0, 14.0 if several else 11.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(4 + several, 2, height_ratios=(0.85, 1, 1.2, *[1] * (1 + several)))
    if several:
        rows = [grid[place, :].subgridspec(1, n_gates) for place in (1, 2)]
        cells = [[row[0, gate] for gate in range(n_gates)] for row in rows]
        others = [(3, 0), (3, 1), (4, 0), (4, 1)]
    else:
        cells = [[grid[1, 0]], [grid[2, 0]]]
        others = [(1, 1), (2, 1), (3, 0), (3, 1)]
    cells = [[grid[0, :]], *cells, *([grid[place]] for place in others)]
    return figure, [[figure.add_subplot(cell) for cell in row] for row in cells]


def _words(ax: Axes, diagnosis: Diagnosis) -> None:
    profile = diagnosis.profile
    n_R = ", ".join(f"{gate} {cut.n_R}".strip() for gate, cut in profile.cuts.items())
    of_gates = " of each gate's spectrum, which is not the network's" if profile.gates else ""
    first = (
        f"{profile.origin}; α {profile.alpha:g}{of_gates}: $n_R$ {n_R} of "
        f"{profile.coordinates.n_hidden}; full network {profile.value[0]:.4g}"
    )
    parts: list[tuple[str, str]] = [(first, INK)]
    parts += [(f"warning: {text}", WARNING) for text in diagnosis.warnings]
    parts += [
        (sentence, COLORS[name])
        for name, sentence in zip(diagnosis.joint, diagnosis.verdicts, strict=False)
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
