"""What the page of one network says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import figures, sections, tables
from .data import diagnosis_data, gate_data, json_element
from .tables import Table, shown

if TYPE_CHECKING:
    from ..ablation.profile import AblationProfile
    from ..diagnosis.result import Diagnosis

__all__ = ["diagnosis_content", "profile_content", "provenance"]

_ORDERS = {
    "modulus": "modulus |λ|",
    "leaky_modulus": "leaky modulus |1 − a + aλ|",
    "real_part": "real part of λ",
}
_STYLES = {"needed": "needed", "not needed": "free", "a burden": "burden", "vacuous": "free"}


def diagnosis_content(found: Diagnosis, title: str, facts: Mapping[str, str]) -> dict[str, Any]:
    """The values of the template of a diagnosis."""
    profile, settings = found.profile, found.settings
    change, tolerance = profile.definition.change_label, float(settings["tolerance"])
    return {
        **_shared(profile, title or "What this network needs", "Diagnosis of a recurrent network"),
        "sections": _sections(found),
        "summary": [*_summary(profile), ("tolerance", f"{tolerance:g}")],
        "warnings": found.warnings,
        "verdicts": [
            {
                "name": name,
                "decision": (decision := found.decision(name)),
                "style": _STYLES.get(decision, "open"),
                "sentence": sentence.removeprefix(f"{name}: "),
            }
            for name, sentence in zip(found.couplings, found.verdicts, strict=True)
        ],
        "n_joint": len(found.joint),
        "sides": [(cut.n_R, cut.n_hidden - cut.n_R) for cut in profile.cuts.values()],
        "tolerance": f"{tolerance:g}",
        "measure_words": _measure_words(profile),
        "level": f"{settings['level']:.0%}",
        "draws": settings["draws"],
        "change": change,
        "heading": profile.definition.heading,
        "couplings": tables.coupling_table(found),
        **sections.coupling_content(found, change, tolerance),
        "shapley_total": shown(found.shapley.total, signed=True),
        "profile": tables.profile_table(profile, profile.interval(settings["level"])),
        "interactions": tables.interaction_table(found),
        "gates": sections.gate_content(found, change),
        "gate_table": sections.gate_table(profile),
        "has_cuts": bool(found.curves),
        **sections.pair_content(found),
        **sections.removal_content(found),
        **sections.account_content(found),
        **sections.null_content(found, change, tolerance),
        **sections.dose_content(found, change, tolerance),
        **sections.trajectory_content(found),
        "provenance": provenance(profile, settings, facts),
        "data": json_element(diagnosis_data(found)),
    }


def profile_content(
    profile: AblationProfile, title: str, facts: Mapping[str, str]
) -> dict[str, Any]:
    """The values of the template of a profile."""
    intervals = profile.interval()
    rows = [place for place, name in enumerate(profile.names) if name != "full"]
    change = profile.definition.change_label
    warnings = [text for text in (profile.warning, *profile.cautions) if text]
    return {
        **_shared(
            profile, title or "Ablations of this network", "Ablations of a recurrent network"
        ),
        "sections": [
            ("ablations", "Ablations"),
            ("spectrum", "Spectrum and |T|"),
            ("provenance", "Provenance"),
        ],
        "summary": _summary(profile),
        "warnings": warnings,
        "change": change,
        "measure_words": _measure_words(profile),
        "profile": tables.profile_table(profile, intervals),
        "figure": figures.forest(
            [profile.names[place] for place in rows],
            [(change, profile.change[rows], intervals.change[rows])],
            change,
        )
        if rows
        else "",
        "gates": sections.spectrum_content(profile),
        "gate_table": sections.gate_table(profile),
        "data": json_element({"alpha": profile.alpha, "gates": gate_data(profile)}),
        "provenance": provenance(profile, {}, facts),
    }


def provenance(
    profile: AblationProfile, settings: Mapping[str, Any], facts: Mapping[str, str]
) -> Table:
    """Versions, level, seeds, tie rule and hashes."""
    own = profile.settings
    names = {
        "version": "schurscope",
        "level": "instruction-set level",
        "dtype": "dtype of the rollouts",
        "tie_rule": "tie rule",
        "cell": "cell",
        "n_trials": "trials",
        "n_steps": "steps of a trial",
    }
    lines: dict[str, object] = {words: own[key] for key, words in names.items() if key in own}
    names = {
        "seed": "seed of the diagnosis",
        "draws": "draws of each null",
        "repeats": "repeats of the search",
        "level": "level of the intervals",
        "network_sha256": "SHA-256 of the weights",
        "trials_sha256": "SHA-256 of the trials",
    }
    lines |= {words: settings[key] for key, words in names.items() if key in settings}
    return tables.facts_table([*lines.items(), *facts.items()])


def _shared(profile: AblationProfile, title: str, kind: str) -> dict[str, Any]:
    order = _ORDERS[next(iter(profile.cuts.values())).schur.order]
    return {"title": title, "kind": kind, "order": order, "alpha": f"{profile.alpha:g}"}


def _summary(profile: AblationProfile) -> list[tuple[str, str]]:
    own, cuts = profile.settings, profile.cuts
    n_R = ", ".join(f"{gate} {cut.n_R}".strip() for gate, cut in cuts.items())
    gaps = ", ".join(f"{gate} {shown(cut.gap)}".strip() for gate, cut in cuts.items())
    steps = f" of {own['n_steps']} steps" if "n_steps" in own else ""
    return [
        (f"{profile.definition.heading}, full network", shown(float(profile.value[0]))),
        ("units", str(next(iter(cuts.values())).n_hidden)),
        ("dimensions in R", f"{n_R} at α = {profile.alpha:g}"),
        ("gap", gaps),
        ("trials", f"{own['n_trials']:,}{steps}"),
    ]


def _measure_words(profile: AblationProfile) -> str:
    measure = profile.definition
    better = {"lower": "lower is better", "higher": "higher is better"}.get(measure.better or "")
    words = {"fvu": "FVU is the fraction of variance unexplained, of all channels and steps"}
    text = words.get(measure.name, f"The measure is {measure.label or measure.heading}")
    known = np.isfinite(profile.chance)
    chance = f"; an answer that ignores the inputs reaches {profile.chance:.3g}" if known else ""
    return f"{text}{f'; {better}' if better else ''}{chance}. Δ is the change of the measure."


def _sections(found: Diagnosis) -> list[tuple[str, str]]:
    return [
        (name, words)
        for name, words, is_there in (
            ("verdicts", "Verdicts", True),
            ("couplings", "Couplings", True),
            ("cuts", "Cuts", bool(found.curves)),
            ("pairs", "Pairs", True),
            ("removable", "Removable", found.removable is not None),
            ("account", "Why", found.account is not None),
            ("chance", "Chance", bool(tables.named_tests(found))),
            ("dose", "Dose", True),
            ("spectrum", "Spectrum", True),
            ("trajectories", "Trajectories", found.trajectories is not None),
            ("provenance", "Provenance", True),
        )
        if is_there
    ]
