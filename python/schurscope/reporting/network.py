"""What the page of one network says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ..diagnosis.account import KINDS
from . import figures, tables
from .data import LISTED, diagnosis_data, json_element, schur_data
from .render import environment
from .tables import Cell, Column, Table, shown

if TYPE_CHECKING:
    from ..ablation.profile import AblationProfile
    from ..coordinates.schur import OrderedSchur
    from ..coordinates.sectors import Sectors
    from ..diagnosis.result import Diagnosis

__all__ = ["diagnosis_content", "profile_content", "provenance"]

_ORDERS = {
    "modulus": "modulus |λ|",
    "leaky_modulus": "leaky modulus |1 − a + aλ|",
    "real_part": "real part of λ",
}
_STYLES = {"needed": "needed", "not needed": "free", "a burden": "burden", "vacuous": "free"}


def diagnosis_content(
    found: Diagnosis, title: str, facts: Mapping[str, str]
) -> dict[str, Any]:
    """The values of the template of a diagnosis."""
    profile, settings = found.profile, found.settings
    sectors, schur = profile.sectors, profile.schur
    change, tolerance = profile.definition.change_label, float(settings["tolerance"])
    n_hidden, n_R = schur.n_hidden, sectors.n_R
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
        "n_R": n_R,
        "n_C": n_hidden - n_R,
        "tolerance": f"{tolerance:g}",
        "measure_words": _measure_words(profile),
        "level": f"{settings['level']:.0%}",
        "draws": settings["draws"],
        "change": change,
        "heading": profile.definition.heading,
        "couplings": tables.coupling_table(found),
        "coupling_figure": _coupling_figure(found, change, tolerance),
        "shapley_total": shown(found.shapley.total, signed=True),
        "profile": tables.profile_table(profile, profile.interval(settings["level"])),
        "interactions": tables.interaction_table(found),
        **_cut_content(found, change),
        **_pair_content(found, change),
        **_removal_content(found),
        **_account_content(found),
        **_null_content(found, change, tolerance),
        "dose_figure": figures.dose_lines(found.dose, change, tolerance),
        "dose": tables.dose_table(found),
        "curvatures": tables.curvature_table(found),
        "spectrum_section": _spectrum_section(schur, sectors),
        **_trajectory_content(found),
        "provenance": provenance(profile, settings, facts),
        "data": json_element(diagnosis_data(found)),
    }


def profile_content(
    profile: AblationProfile, title: str, facts: Mapping[str, str]
) -> dict[str, Any]:
    """The values of the template of a profile."""
    intervals = profile.interval()
    rows = [place for place, name in enumerate(profile.names) if name != "full"]
    change, schur = profile.definition.change_label, profile.schur
    warnings = [text for text in (profile.warning, *profile.cautions) if text]
    return {
        **_shared(profile, title or "Ablations of this network", "Ablations of a recurrent network"),
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
        "spectrum_section": _spectrum_section(schur, profile.sectors),
        "provenance": provenance(profile, {}, facts),
        "data": json_element(
            {
                "alpha": profile.alpha,
                "n_R": profile.sectors.n_R,
                "N_h": schur.n_hidden,
                "schur": schur_data(schur),
            }
        ),
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
        "trials_sha256": "SHA-256 of the trials’ numbers",
    }
    lines |= {words: settings[key] for key, words in names.items() if key in settings}
    return tables.facts_table([*lines.items(), *facts.items()])


def _shared(profile: AblationProfile, title: str, kind: str) -> dict[str, Any]:
    order = _ORDERS[profile.schur.order]
    return {"title": title, "kind": kind, "order": order, "alpha": f"{profile.alpha:g}"}


def _summary(profile: AblationProfile) -> list[tuple[str, str]]:
    own, sectors = profile.settings, profile.sectors
    steps = f" of {own['n_steps']} steps" if "n_steps" in own else ""
    return [
        (f"{profile.definition.heading}, full network", shown(float(profile.value[0]))),
        ("units", str(profile.schur.n_hidden)),
        ("dimensions in R", f"{sectors.n_R} at α = {profile.alpha:g}"),
        ("gap", shown(sectors.gap)),
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
            ("cuts", "Cuts", found.cuts is not None),
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


def _coupling_figure(found: Diagnosis, change: str, tolerance: float) -> Markup:
    nan = np.full(len(found.couplings), np.nan)
    columns = {name: (nan.copy(), np.tile(nan[:, None], 2)) for name in ("last", "Shapley value")}
    for place, name in enumerate(found.couplings):
        if name not in found.shapley.names:
            continue
        at = found.shapley.names.index(name)
        for words, value, ends in (
            ("last", found.shapley.last, found.shapley.last_interval),
            ("Shapley value", found.shapley.value, found.shapley.interval),
        ):
            columns[words][0][place], columns[words][1][place] = value[at], ends[at]
    alone = np.array([found.profile[name].change for name in found.couplings])
    ends = np.array([found.change_interval(name) for name in found.couplings])
    rows = [("alone", alone, ends), *((name, *both) for name, both in columns.items())]
    return figures.forest(found.couplings, rows, change, tolerance)


def _cut_content(found: Diagnosis, change: str) -> dict[str, Any]:
    if found.cuts is None:
        return {"cut_figure": ""}
    return {
        "cut_figure": figures.cut_figure(
            found.cuts, change, found.profile.sectors.n_R, name="cut-figure"
        ),
        "n_cuts": len(found.cuts),
        "cuts": tables.cut_table(found),
    }


def _pair_content(found: Diagnosis, change: str) -> dict[str, Any]:
    atlas, heading = found.atlas, found.profile.definition.heading
    listed, count, run = min(LISTED, len(atlas)), len(atlas), int(atlas.exact.sum())
    words = f"{count:,} pairs, {run:,} run exactly"
    words += "." if run == count else f", the other {count - run:,} predicted."
    if listed < count:
        words += f" The table lists the {listed:,} largest effects; the map shows all."
    agreement = ""
    if atlas.agreement is not None:
        n, spearman, overlap, ratio = atlas.agreement
        agreement = (
            f"Over {n:,} pairs with both: Spearman correlation {spearman:.3f}, {overlap:.0%} of the "
            f"20 largest found, median ratio {shown(ratio)}."
        )
    kept = found.trial_effects
    trial_words = "This result holds no effects on single trials."
    if kept is not None:
        trial_words = (
            f"this file keeps the effects of the {len(kept.pair)} largest pairs on each of "
            f"{len(kept.trial):,} trials, and of the other {len(kept.rest):,} pairs that were run "
            "only quantiles over trials (5, 25, 50, 75, 95 %), on up to 256 of these."
        )
    classes = []
    if found.account is not None:
        classes.append(("verdict", [(f"kind:{1 + i}", name) for i, name in enumerate(KINDS)]))
    if found.removable is not None:
        names = ("core", "interchangeable", "free")
        classes.append(
            ("removable sets", [(f"state:{1 + i}", name) for i, name in enumerate(names)])
        )
    n_blocks = len(atlas.schur.starts)
    columns = [
        Column("to_block", "to block"),
        Column("from_block", "from block"),
        Column("coupling", "coupling", numeric=False),
        Column("effect", "effect"),
        Column("standard_error", "standard error"),
        Column("predicted", "predicted"),
        Column("mass", "mass"),
        Column("exact", "run exactly", numeric=False),
        *([Column("verdict", "verdict", numeric=False)] if found.account else []),
        *([Column("removable", "in removable sets", numeric=False)] if found.removable else []),
    ]
    of_all = "" if listed == count else f" of {count:,}"
    caption = f"The {listed:,} largest effects{of_all}: {change} without the pair"
    return {
        "pair_words": words,
        "agreement": agreement,
        "trial_words": trial_words,
        "classes": classes,
        "pair_tolerance": f"{found.settings['tolerance'] / 10:g}",
        "coupling_names": found.couplings,
        "atlas_label": (
            f"Effect on {heading} of removing each pair of blocks, {n_blocks} by {n_blocks} blocks; "
            "the table below holds the numbers"
        ),
        "pairs": Table("pairs", caption, columns, _pair_rows(found, len(columns)), sortable=True),
    }


def _pair_rows(found: Diagnosis, n_columns: int) -> list[list[Cell]]:
    """The twenty largest, which the script replaces by all."""
    atlas = found.atlas
    largest = np.argsort(-np.abs(np.nan_to_num(atlas.effect)), kind="stable")[:20]
    rows = []
    for at in largest:
        first, last = atlas.pairs[at]
        cells = [
            tables.whole(first),
            tables.whole(last),
            Cell(str(atlas.coupling[at])),
            tables.number(atlas.effect[at], signed=True),
            tables.number(atlas.standard_error[at]),
            tables.number(atlas.predicted[at], signed=True),
            tables.number(atlas.mass[at]),
            Cell("yes" if atlas.exact[at] else "no", bool(atlas.exact[at])),
        ]
        if found.account is not None:
            cells.append(Cell(str(found.account.kind[at])))
        rows.append([*cells, *[Cell("–", "")] * (n_columns - len(cells))])
    return rows


def _removal_content(found: Diagnosis) -> dict[str, Any]:
    can_go = found.removable
    if can_go is None:
        return {"removal_figure": ""}
    heading, settings, counts = found.profile.definition.heading, can_go.settings, can_go.counts
    low, high = can_go.interval
    facts: list[list[Cell]] = [
        [Cell("pairs removed"), Cell(f"{can_go.pair_share:.1%}", can_go.pair_share)],
        [
            Cell("in random order"),
            Cell(f"{can_go.random_pair_share:.1%}", can_go.random_pair_share),
        ],
        [Cell("mass removed"), Cell(f"{can_go.mass_share:.1%}", can_go.mass_share)],
        [
            Cell("in random order, mass"),
            Cell(f"{can_go.random_mass_share:.1%}", can_go.random_mass_share),
        ],
        [
            Cell("loss on fresh trials"),
            tables.number(can_go.change, signed=True, ends=(low, high)),
        ],
        *([Cell(f"{name} pairs"), tables.whole(n)] for name, n in counts.items()),
        [Cell("kept sets’ Jaccard index"), tables.number(can_go.jaccard)],
        [
            Cell("kept pairs tested that are needed"),
            Cell(f"{int(can_go.needed.sum())} of {len(can_go.needed)}"),
        ],
    ]
    columns = [Column("quantity", "quantity", numeric=False), Column("value", "value")]
    return {
        "removal_figure": figures.removal_lines(can_go, f"loss of {heading}"),
        "removal": tables.removal_table(found),
        "removal_facts": Table("removal-facts", "The accepted set", columns, facts),
        "removal_words": (
            f"{can_go.pair_share:.0%} of {settings['n_pairs']:,} pairs, {can_go.mass_share:.0%} of "
            f"the mass, can go at a loss of at most {settings['tolerance']:g}. Over "
            f"{settings['repeats']} searches on resampled trials, {counts['core']:,} pairs were "
            f"always kept (core), {counts['free']:,} always removed (free), and "
            f"{counts['interchangeable']:,} are interchangeable."
        ),
    }


def _account_content(found: Diagnosis) -> dict[str, Any]:
    account = found.account
    if account is None:
        return {"account_figure": ""}
    own = account.settings.get("measure", found.profile.measure)
    other = "" if own == found.profile.measure else f", by the surrogate {own}"
    return {
        "account_figure": figures.account_bars(account, "loss"),
        "account_measure": other,
        "kind_figure": figures.kind_bars([(k, float(s)) for k, s in account.mass_share.items()]),
        "account": tables.account_table(found),
        "state_share": f"{account.state_share['R']:.0%}",
        "readout_share": f"{account.readout_share['R']:.0%}",
    }


def _null_content(found: Diagnosis, change: str, tolerance: float) -> dict[str, Any]:
    tests = tables.named_tests(found)
    if not tests:
        return {"null_figure": ""}
    return {
        "null_figure": figures.null_ranges(tests, change, tolerance),
        "nulls": tables.null_table(found),
    }


def _spectrum_section(schur: OrderedSchur, sectors: Sectors) -> Markup:
    norm = float(np.linalg.norm(schur.W))
    share = schur.departure / norm if norm > 0 else 0.0
    conditioning = sectors.conditioning
    fewest, most = conditioning.n_R_range
    words = "Rounding of the weights leaves the cut as it is."
    if not sectors.determined:
        words = f"Under rounding of the weights, R may have {fewest} to {most} dimensions."
    text = environment().get_template("spectrum.html").render(
        spectrum_figure=figures.spectrum(schur, sectors.n_R, sectors.alpha, name="spectrum-figure"),
        circle=schur.order == "modulus",
        rho=shown(schur.rho),
        n_hidden=schur.n_hidden,
        departure=shown(schur.departure),
        departure_share=f"{share:.0%}",
        sectors_words=words,
    )
    return Markup(text)


def _trajectory_content(found: Diagnosis) -> dict[str, Any]:
    kept = found.trajectories
    if kept is None:
        return {"trajectory_figure": ""}
    count = len(kept.trial)
    # At first a trial of middling difficulty, in the channel where its target moves most.
    first, spread = count // 2, kept.targets[count // 2].std(axis=0)
    channel = int(np.argmax(np.nan_to_num(spread)))
    places = {0: "best", count - 1: "worst", count // 2: "middle"} if count > 2 else {}
    return {
        "trajectory_figure": figures.trajectory_rows(
            kept, first, channel, name="trajectory-figure"
        ),
        "first_trial": first,
        "first_channel": channel,
        "trial_names": [
            f"{trial}{f' ({places[place]})' if place in places else ''}"
            for place, trial in enumerate(kept.trial)
        ],
        "n_channels": kept.targets.shape[2],
        "trajectory_words": (
            f"This file keeps {count} of {found.settings['n_trials']:,} trials, from the best to the "
            "worst of the full network."
        ),
    }
