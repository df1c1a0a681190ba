"""A diagnosis as one page of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .result import Diagnosis

__all__ = ["cuts_of", "text_of"]

_NUMBERS = (
    f"{'mass':>8}{'alone':>10}{'last':>10}{'Shapley':>10}{'p chance':>10}{'curvature':>11}"
    f"{'mean abl.':>11}"
)


def text_of(diagnosis: Diagnosis) -> str:
    """Warnings, the verdicts on the couplings, a table of them, and how much can go.

    In a gated network the verdicts are on all gates together; the table ends with each gate's
    couplings and what is decided about them.
    """
    profile = diagnosis.profile
    lines = [f"warning: {text}" for text in diagnosis.warnings]
    lines += [
        f"{profile.origin}; {cuts_of(diagnosis)}",
        f"full network: {profile.definition.heading} {profile.value[0]:.4g}",
        "",
        *diagnosis.verdicts[: len(diagnosis.joint)],
        "",
        *_table(diagnosis, diagnosis.joint),
        "",
    ]
    if profile.gates:
        lines += [*_table(diagnosis, diagnosis.couplings[len(diagnosis.joint) :]), ""]
    for part in (diagnosis.removable, diagnosis.account):
        if part is not None:
            lines += [str(part), ""]
    return "\n".join(lines).rstrip()


def cuts_of(diagnosis: Diagnosis) -> str:
    """Where alpha cuts the spectrum, or that of each gate."""
    profile = diagnosis.profile
    n_hidden = profile.coordinates.n_hidden
    cuts = [
        f"{gate} n_R {cut.n_R}" if gate else f"n_R {cut.n_R} of N_h {n_hidden}, gap {cut.gap:.3g}"
        for gate, cut in profile.cuts.items()
    ]
    if not profile.gates:
        return f"alpha {profile.alpha:g}: {cuts[0]}"
    return (
        f"alpha {profile.alpha:g} of each gate's spectrum, which is not the network's: "
        f"{', '.join(cuts)} of N_h {n_hidden}"
    )


def _table(diagnosis: Diagnosis, names: Sequence[str]) -> list[str]:
    """Mass, effect alone and last, Shapley value, chance, curvature and mean ablation."""
    explained = diagnosis.account
    of_gates = ":" in names[0]
    frame = [f"{'coupling':<10}{_NUMBERS}{'  verdict' if of_gates else ''}"]
    for name in names:
        row = diagnosis.profile[name]
        credit, last = diagnosis.credit(name)
        mean = float("nan")
        if explained is not None and name in explained.couplings:
            mean = float(explained.mean_ablated[explained.couplings.index(name)])
        curvature = float(diagnosis.dose.curvature[diagnosis.dose.names.index(name)])
        cells = (
            (row.removed_mass, ">8.3f"),
            (row.change, ">+10.3g"),
            (last, ">+10.3g"),
            (credit, ">+10.3g"),
            (diagnosis.chance(name)[0], ">10.2g"),
            (curvature, ">11.3g"),
            (mean, ">+11.3g"),
        )
        line = f"{name:<10}" + "".join(_cell(value, spec) for value, spec in cells)
        frame.append(f"{line}  {_decided(diagnosis, name)}" if of_gates else line)
    return frame


def _decided(diagnosis: Diagnosis, name: str) -> str:
    decided = diagnosis.decision(name)
    why = diagnosis.why(name) if decided == "not needed" else ""
    return f"{decided}: {why}" if why else decided


def _cell(value: float, spec: str) -> str:
    width = int("".join(c for c in spec.split(".")[0] if c.isdigit()))
    return f"{'–':>{width}}" if np.isnan(value) else format(value, spec)
