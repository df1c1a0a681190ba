"""Profiles as text, as HTML, and the columns that tell their cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._internal.html import table

if TYPE_CHECKING:
    from .profile import AblationProfile, AblationRow

__all__ = ["html_of", "named_gates", "of_cuts", "text_of"]


def text_of(profile: AblationProfile) -> str:
    """A table of the ablations under a description of the cut; warnings first, cautions last."""
    heading = _heading(profile)
    rows = [heading, *(_cells(row) for row in profile)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "─" * max(map(len, lines)))
    return "\n".join([*_warning(profile), *_header(profile), *lines, *_cautions(profile)])


def html_of(profile: AblationProfile) -> str:
    """The same as HTML."""
    notes = [*_warning(profile), *_header(profile), *_cautions(profile)]
    return table("Ablations", _heading(profile), map(_cells, profile), notes)


def named_gates(profile: AblationProfile) -> list[tuple[str, ...]]:
    """The gates that each ablation names."""
    masses = profile.gate_masses.items()
    return [
        tuple(gate for gate, mass in masses if not np.isnan(mass[row]))
        for row in range(len(profile))
    ]


def of_cuts(profile: AblationProfile) -> dict[str, Any]:
    """Columns of a table of ablations, or their common value: the measure and the cuts."""
    names = ("measure", "alpha", "n_R", "determined")
    columns: dict[str, Any] = {name: profile.settings[name] for name in names}
    if profile.gates:
        import pandas as pd

        named = named_gates(profile)
        one = [profile.gates[gates[0]].n_R if len(gates) == 1 else None for gates in named]
        columns["gates"] = [",".join(gates) for gates in named]
        columns["n_R"] = pd.array(one, dtype="Int64")
        columns["determined"] = [
            all(profile.gates[gate].determined for gate in gates) for gates in named
        ]
        columns |= {f"removed_mass_{gate}": mass for gate, mass in profile.gate_masses.items()}
    return columns


def _warning(profile: AblationProfile) -> list[str]:
    return [f"warning: {profile.warning}"] if profile.warning else []


def _cautions(profile: AblationProfile) -> list[str]:
    return [f"caution: {caution}" for caution in profile.cautions]


def _heading(profile: AblationProfile) -> tuple[str, ...]:
    measure = profile.definition.heading
    return ("ablation", measure, f"Δ{measure}", "removed mass", "S_ΔT", "")


def _header(profile: AblationProfile) -> list[str]:
    settings = profile.settings
    rule = f"tie rule {settings['tie_rule']}, level {settings['level']}"
    cuts = {
        gate: f"n_R {cut.n_R} of N_h {cut.n_hidden}{_null(cut.null_dimensions)}, gap {cut.gap:.3g}"
        for gate, cut in profile.cuts.items()
    }
    if not profile.gates:
        return [profile.origin, f"alpha {profile.alpha:g}: {cuts['']}; {rule}"]
    return [
        profile.origin,
        f"alpha {profile.alpha:g} of each gate's spectrum, which is not the network's; {rule}",
        *(f"  {gate}: {cut}" for gate, cut in cuts.items()),
    ]


def _null(dimensions: int) -> str:
    return f" ({dimensions} at noise level)" if dimensions else ""


def _cells(row: AblationRow) -> tuple[str, ...]:
    is_full = row.name == "full"
    marks = ["vacuous"] * row.vacuous + ["diverged"] * row.diverged
    return (
        row.name,
        f"{row.value:.4g}",
        "" if is_full else f"{row.change:+.4g}" if row.change else "0",
        "" if is_full else f"{row.removed_mass:.3g}",
        "" if is_full else "–" if np.isnan(row.sensitivity) else f"{row.sensitivity:.4g}",
        ", ".join(marks),
    )


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    first = cells[0].ljust(widths[0])
    middle = [cell.rjust(width) for cell, width in zip(cells[1:-1], widths[1:-1], strict=True)]
    return "  ".join([first, *middle, cells[-1]]).rstrip()
