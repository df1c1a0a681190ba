"""The sections of the page of one network: each returns values of its template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ..diagnosis.account import KINDS
from . import figures, tables
from .data import LISTED
from .render import environment
from .tables import Cell, Column, Table, shown

if TYPE_CHECKING:
    from ..coordinates.schur import OrderedSchur
    from ..coordinates.sectors import Sectors
    from ..diagnosis.result import Diagnosis

__all__ = [
    "account_content",
    "coupling_figure",
    "cut_content",
    "gates_section",
    "null_content",
    "pair_content",
    "removal_content",
    "spectrum_section",
    "trajectory_content",
]


def coupling_figure(found: Diagnosis, change: str, tolerance: float) -> Markup:
    """The change without each coupling: alone, last, and its Shapley value."""
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


def cut_content(found: Diagnosis, change: str) -> dict[str, Any]:
    """The cut curve."""
    if found.cuts is None:
        return {"cut_figure": ""}
    return {
        "cut_figure": figures.cut_figure(
            found.cuts, change, found.profile.sectors.n_R, name="cut-figure"
        ),
        "n_cuts": len(found.cuts),
        "cuts": tables.cut_table(found),
    }


def pair_content(found: Diagnosis, change: str) -> dict[str, Any]:
    """The atlas: what is told of it, and its table."""
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
            f"Over {n:,} pairs with both: Spearman correlation {spearman:.3f}, {overlap:.0%} of "
            f"the {min(n, 20)} largest found, median ratio {shown(ratio)}."
        )
    kept = found.trial_effects
    trial_words = "This result holds no effects on single trials."
    if kept is not None:
        trial_words = (
            f"this file keeps the effects of the {len(kept.pair)} largest pairs on each of "
            f"{len(kept.trial):,} trials"
        )
        if len(kept.rest):
            trial_words += (
                f", and of the other {len(kept.rest):,} pairs that were run only quantiles over "
                "trials (5, 25, 50, 75, 95%), on up to 128 of these"
            )
        trial_words += "."
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
        "pair_tolerance": f"{found.account.settings['tolerance']:g}" if found.account else "",
        "coupling_names": found.couplings,
        "atlas_label": (
            f"Effect on {heading} of removing each pair of blocks, {n_blocks} by {n_blocks}; the "
            "table below holds the numbers"
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


def removal_content(found: Diagnosis) -> dict[str, Any]:
    """What can go at once."""
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
        [Cell("Jaccard index of kept sets"), tables.number(can_go.jaccard)],
        [
            Cell("kept pairs tested that are needed"),
            Cell(f"{int(can_go.needed.sum())} of {len(can_go.needed)}"),
        ],
    ]
    columns = [Column("quantity", "quantity", numeric=False), Column("value", "value")]
    return {
        "removal_figure": figures.removal_lines(can_go, f"loss in {heading}"),
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


def account_content(found: Diagnosis) -> dict[str, Any]:
    """From mass to loss, and shares of the mass."""
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


def null_content(found: Diagnosis, change: str, tolerance: float) -> dict[str, Any]:
    """The tests against random ablations."""
    tests = tables.named_tests(found)
    if not tests:
        return {"null_figure": ""}
    return {
        "null_figure": figures.null_ranges(tests, change, tolerance),
        "nulls": tables.null_table(found),
    }


def spectrum_section(schur: OrderedSchur, sectors: Sectors) -> Markup:
    """The section on the spectrum and |T|, also of a profile."""
    norm = float(np.linalg.norm(schur.W))
    share = schur.departure / norm if norm > 0 else 0.0
    conditioning = sectors.conditioning
    fewest, most = conditioning.n_R_range
    words = "Rounding of the weights leaves the cut as it is."
    if not sectors.determined:
        words = f"Under rounding of the weights, R may have {fewest} to {most} dimensions."
    text = (
        environment()
        .get_template("spectrum.html")
        .render(
            spectrum_figure=figures.spectrum(
                schur, sectors.n_R, sectors.alpha, name="spectrum-figure"
            ),
            circle=schur.order == "modulus",
            rho=shown(schur.rho),
            n_hidden=schur.n_hidden,
            departure=shown(schur.departure),
            departure_share=f"{share:.0%}",
            sectors_words=words,
        )
    )
    return Markup(text)


def gates_section(cuts: Mapping[str, Sectors]) -> Markup:
    """The section on the spectra of a network's gates."""
    columns = [
        Column("gate", "gate", numeric=False),
        Column("rho", "spectral radius"),
        Column("departure", "departure from normality"),
        Column("n_R", "n_R"),
        Column("gap", "gap"),
    ]
    rows = [
        [
            Cell(gate),
            tables.number(cut.schur.rho),
            tables.number(cut.schur.departure),
            tables.whole(cut.n_R),
            tables.number(cut.gap),
        ]
        for gate, cut in cuts.items()
    ]
    radius = max(cut.schur.rho for cut in cuts.values())
    drawn = [
        (gate, figures.spectrum(cut.schur, cut.n_R, cut.alpha, radius=radius))
        for gate, cut in cuts.items()
    ]
    gates = Table("gates", "The matrices of the gates", columns, rows)
    text = environment().get_template("gates.html").render(gates=gates, drawn=drawn)
    return Markup(text)


def trajectory_content(found: Diagnosis) -> dict[str, Any]:
    """The trajectories, at first in a trial and channel that show something."""
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
            f"This file keeps {count} of {found.settings['n_trials']:,} trials, from the best to "
            "the worst of the full network."
        ),
    }
