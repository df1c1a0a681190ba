"""The sentences of a diagnosis: one for each coupling, and the warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .cuts import CutCurve
    from .result import Diagnosis

__all__ = ["APART", "decision", "verdict", "warnings"]

_WHY = {
    "small": "; it is small: at average activity its mass could not matter",
    "silent": "; it is silent: little activity drives it",
    "unread": "; it is unread: no output depends on what it drives",
    "compensated": "; it is compensated: the rest of the network makes up for it",
}
APART = 3.0
"""Ratio of losses at nearby cuts from which alpha decides what a coupling costs."""
_SATURATED = 0.5  # of the distance between the full network and chance


def decision(diagnosis: Diagnosis, coupling: str) -> str:
    """Whether a coupling is needed, by the interval of the loss and the tolerance.

    ``"needed"``, ``"a burden"``, ``"not needed"``, ``"undecided"``, or ``"vacuous"`` if there is
    nothing to remove.
    """
    row = diagnosis.profile[coupling]
    tolerance = diagnosis.settings["tolerance"]
    if row.vacuous:
        return "vacuous"
    low, high = diagnosis.loss_interval(coupling)
    if row.diverged or low > tolerance:
        return "needed"
    if high < -tolerance:
        return "a burden"
    return "not needed" if low >= -tolerance and high <= tolerance else "undecided"


def verdict(diagnosis: Diagnosis, coupling: str) -> str:
    """What the task says about a coupling, with the number that says it."""
    row = diagnosis.profile[coupling]
    measure = diagnosis.profile.definition.change_label
    tolerance = diagnosis.settings["tolerance"]
    decided = decision(diagnosis, coupling)
    named = _named(diagnosis, coupling)
    if decided == "vacuous":
        return f"{named}: nothing to remove."
    if row.diverged:
        return f"{named}: needed; without it the rollouts diverge."
    number = f"{measure} {row.change:+.3g}, interval [{_interval(diagnosis, coupling)}]"
    if decided == "needed":
        return f"{named}: needed ({number}){_beside_chance(diagnosis, coupling)}."
    if decided == "a burden":
        return f"{named}: a burden; the network does better without it ({number})."
    if decided == "not needed":
        return f"{named}: not needed ({number}){_WHY.get(diagnosis.why(coupling), '')}."
    return f"{named}: undecided at tolerance {tolerance:g} ({number}); use more trials."


def warnings(diagnosis: Diagnosis) -> list[str]:
    """What a reader should know before believing the verdicts."""
    found = [diagnosis.profile.warning, diagnosis.profile.caution]
    for gate, curve in diagnosis.curves.items():
        if diagnosis.profile.cuts[gate].n_R < diagnosis.profile.coordinates.n_hidden:
            found += _about_cut(diagnosis, gate, curve)
    if saturated := [name for name in diagnosis.couplings if _saturates(diagnosis, name)]:
        found.append(
            f"{', '.join(saturated)}: the measure is near or beyond chance without it, so effects "
            "saturate and do not add up; compare the curvatures"
        )
    removable = diagnosis.removable
    if removable is not None and removable.jaccard < 0.8:
        found.append(
            f"the removable set is not unique: kept sets of two searches share "
            f"{removable.jaccard:.0%} of their pairs"
        )
    agreement = diagnosis.atlas.agreement
    if agreement is not None and not diagnosis.atlas.exact.all() and agreement.spearman < 0.9:
        found.append(
            "predicted effects of pairs agree poorly with exact ones (Spearman "
            f"{agreement.spearman:.2f}): use method='exact'"
        )
    return [text for text in found if text]


def _about_cut(diagnosis: Diagnosis, gate: str, cuts: CutCurve) -> list[str]:
    """What a gate's cut curve says about its cut."""
    alpha, tolerance, found = diagnosis.profile.alpha, diagnosis.settings["tolerance"], []
    prefix, here = f"gate {gate}: " if gate else "", cuts.at(alpha)
    if cuts.tied[here]:
        found.append(
            f"{prefix}the cut at alpha={alpha:g} divides near-tied eigenvalues "
            f"(gap {cuts.gap[here]:.2g}): CR, RR and CC depend on their order"
        )
    near = cuts.near(alpha)
    change = np.abs(np.where(np.isfinite(cuts.change), cuts.change, np.inf))
    place = near[int(np.argmax(change[near]))]
    if change[place] > max(APART * change[here], tolerance):
        found.append(
            f"{prefix}alpha decides what CR costs: {cuts.change[here]:+.3g} at this cut "
            f"(n_R {cuts.cut[here]}), {cuts.change[place]:+.3g} at n_R {cuts.cut[place]}; "
            "see the cut curve"
        )
    return found


def _named(diagnosis: Diagnosis, coupling: str) -> str:
    """The coupling, and in a gated network where: "CR of all gates", "CR of n"."""
    gate, _, name = coupling.rpartition(":")
    if not diagnosis.profile.gates:
        return coupling
    return f"{name} of {gate or 'all gates'}"


def _interval(diagnosis: Diagnosis, coupling: str) -> str:
    low, high = diagnosis.change_interval(coupling)
    return f"{low:.3g}, {high:.3g}"


def _beside_chance(diagnosis: Diagnosis, coupling: str) -> str:
    p_value, quantile = diagnosis.chance(coupling)
    if not np.isfinite(p_value):
        return ""
    worse = (quantile > 0.5) == (diagnosis.profile.definition.loss_sign > 0)
    if p_value > 0.05:
        return f", but no more than random pairs of the same mass (p = {p_value:.2g})"
    than = "more" if worse else "but less"
    return f", {than} than random pairs of the same mass (p = {p_value:.2g})"


def _saturates(diagnosis: Diagnosis, coupling: str) -> bool:
    profile = diagnosis.profile
    distance = abs(profile.chance - profile.value[0])
    return bool(np.isfinite(distance) and diagnosis.loss(coupling) > _SATURATED * distance)
