"""Prints and saves a profile, for the command line."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from .._internal.files import atomic_path
from .._internal.json import write_json
from ..ablation.profile import AblationProfile, Intervals
from ..ablation.table import named_gates
from ..networks.network import Network
from ..trials.trials import Trials

_WIDEST = 1000


def print_profile(profile: AblationProfile, intervals: Intervals) -> None:
    """Print a table with bootstrap intervals over trials."""
    settings, console = profile.settings, Console()
    if profile.warning:
        console.print(f"warning: {profile.warning}", style="bold yellow", highlight=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("ablation", no_wrap=True)
    measure, ends = escape(profile.definition.heading), "95 % interval"
    for heading in (measure, ends, f"Δ{measure}", ends, "removed", "S_ΔT"):
        table.add_column(heading, justify="right", no_wrap=True)
    for place, row in enumerate(profile):
        effect = ("", "", "", "")
        if row.name != "full":
            effect = (
                f"{row.change:.4f}",
                _ends(intervals.change[place]),
                f"{row.removed_mass:.4f}",
                "vacuous" if row.vacuous else f"{row.sensitivity:.3g}",
            )
        value = "diverged" if row.diverged else f"{row.value:.4f}"
        table.add_row(escape(row.name), value, _ends(intervals.value[place]), *effect)
    console.print(
        f"{profile.origin}; {_cuts(profile)}",
        highlight=False,
        markup=False,
    )
    # Too narrow a console would shorten numbers.
    needed = Measurement.get(console, console.options.update(width=_WIDEST), table).maximum
    Console(width=max(console.width, needed)).print(table, highlight=False)
    console.print(
        f"intervals: paired bootstrap over trials; tie rule {settings['tie_rule']}, "
        f"level {settings['level']}, schurscope {settings['version']}",
        style="dim",
        highlight=False,
    )
    for caution in profile.cautions:
        console.print(f"caution: {caution}", style="yellow", highlight=False, markup=False)


def _cuts(profile: AblationProfile) -> str:
    n_hidden = profile.coordinates.n_hidden
    if not profile.gates:
        cut = profile.sectors
        return f"n_R {cut.n_R} of N_h {n_hidden} at alpha {profile.alpha:g}, gap {cut.gap:.3g}"
    each = ", ".join(f"{gate} {cut.n_R} ({cut.gap:.3g})" for gate, cut in profile.gates.items())
    return (
        f"alpha {profile.alpha:g} of each gate's spectrum, which is not the network's: n_R (gap) "
        f"{each} of N_h {n_hidden}"
    )


def _ends(interval: NDArray[np.float64]) -> str:
    if np.isnan(interval).any() or interval[0] == interval[1]:
        return ""
    return f"{interval[0]:.4f} … {interval[1]:.4f}"


def save_profile(
    out: Path,
    profile: AblationProfile,
    intervals: Intervals,
    settings: Mapping[str, Any],
    rollouts: tuple[Network, Trials] | None = None,
) -> None:
    """Write profile.csv, settings.json and figures into the folder `out`.

    `rollouts` adds the figure of trajectories, which a profile of `ablate_with` cannot have.
    """
    from .. import plotting

    with (
        atomic_path(out / "profile.csv") as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream)
        ends = ["value_low", "value_high", "change_low", "change_high"]
        masses = [f"removed_mass_{gate}" for gate in profile.gates]
        writer.writerow([*profile["full"]._fields, *ends, "determined", *masses])
        for place, (row, gates) in enumerate(zip(profile, named_gates(profile), strict=True)):
            determined = all(profile.cuts[gate].determined for gate in gates or profile.cuts)
            of_gates = [profile.gate_masses[gate][place] for gate in profile.gates]
            numbers = [*intervals.value[place], *intervals.change[place]]
            writer.writerow([*row, *numbers, determined, *of_gates])
    write_json(out / "settings.json", settings)
    names = [name for name in profile.names if name != "full"]
    axes = {"change": plotting.change_bars(profile)}
    for gate, cut in profile.cuts.items():
        ending = f"_{gate}" if gate else ""
        axes[f"schur_matrix{ending}"] = plotting.schur_matrix(cut.schur, cut, gate=gate)
        axes[f"spectrum{ending}"] = plotting.spectrum(cut.schur, cut, gate=gate)
    if rollouts is not None:
        axes["trajectories"] = plotting.trajectories(
            *rollouts, ablations=names[:3], alpha=profile.alpha, schur=profile.coordinates.argument
        )
    if profile.definition.limits == (0.0, 1.0):
        axes["accuracy_per_lag"] = plotting.accuracy_per_lag(profile)
    for name, ax in axes.items():
        for suffix in ("png", "pdf"):
            plotting.save_figure(ax.figure, out / f"{name}.{suffix}")
