"""The sections of the page of one network: each returns values of its template."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from ..coordinates.sectors import COUPLINGS
from ..diagnosis.account import KINDS
from . import figures, tables
from .data import LISTED, largest_pairs, pairs_of_gate
from .svg import spanning
from .tables import Cell, Column, Table, shown

if TYPE_CHECKING:
    from ..ablation.profile import AblationProfile
    from ..diagnosis.result import Diagnosis

__all__ = [
    "account_content",
    "coupling_content",
    "dose_content",
    "gate_content",
    "gate_table",
    "null_content",
    "pair_content",
    "removal_content",
    "spectrum_content",
    "trajectory_content",
]


def by_gate(
    found: Diagnosis, draw: Callable[[tuple[str, ...]], Markup]
) -> list[tuple[str, Markup]]:
    """A figure of the couplings of each gate; none of the vanilla cell."""
    return [
        (
            f"Gate {gate}",
            draw(tuple(name for name in found.couplings if name.startswith(f"{gate}:"))),
        )
        for gate in found.profile.gates
    ]


def coupling_content(found: Diagnosis, change: str, tolerance: float) -> dict[str, Any]:
    """The change without each coupling: alone, last, and its Shapley value."""
    rows: dict[str, list[tuple[float, npt.ArrayLike]]] = {
        "alone": [],
        "last": [],
        "Shapley value": [],
    }
    for name in found.couplings:
        rows["alone"].append((found.profile[name].change, found.change_interval(name)))
        credit = found.shapley_of(name)
        for words, value in (("last", "last"), ("Shapley value", "value")):
            known = (float("nan"), (float("nan"),) * 2)
            if credit is not None:
                at, ends = (
                    credit.names.index(name),
                    "interval" if value == "value" else "last_interval",
                )
                known = (getattr(credit, value)[at], getattr(credit, ends)[at])
            rows[words].append(known)
    columns = [
        (words, np.array([value for value, _ in both]), np.array([ends for _, ends in both]))
        for words, both in rows.items()
    ]
    every = np.concatenate([part.ravel() for _, *both in columns for part in both])
    x = spanning(every, "symlog", threshold=tolerance)

    def draw(names: tuple[str, ...]) -> Markup:
        at = [found.couplings.index(name) for name in names]
        shown = [(words, values[at], ends[at]) for words, values, ends in columns]
        return figures.forest(names, shown, change, tolerance, x)

    return {"coupling_figure": draw(found.joint), "coupling_grid": by_gate(found, draw)}


def dose_content(found: Diagnosis, change: str, tolerance: float) -> dict[str, Any]:
    """The change against the gain on each coupling."""
    y = figures.dose_scale([found.dose], tolerance)

    def draw(names: tuple[str, ...]) -> Markup:
        return figures.dose_lines(found.dose, change, y, names)

    return {
        "dose_figure": draw(found.joint),
        "dose_grid": by_gate(found, draw),
        "dose": tables.dose_table(found),
        "curvatures": tables.curvature_table(found),
    }


def gate_content(found: Diagnosis, change: str) -> list[dict[str, Any]]:
    """What is shown of one gate at a time: its cuts, its pairs and its T."""
    content = spectrum_content(found.profile)
    for of_gate, (gate, cut) in zip(content, found.profile.cuts.items(), strict=True):
        of_gate |= _pair_table(found, gate, of_gate["suffix"], change)
        curve = found.curves.get(gate)
        of_gate["cut_figure"] = ""
        if curve is not None:
            name = f"cut-figure{of_gate['suffix']}"
            of_gate["cut_figure"] = figures.cut_figure(curve, change, cut.n_R, name=name)
            of_gate["n_cuts"] = len(curve)
            of_gate["cuts"] = tables.cut_table(curve, change, f"cuts{of_gate['suffix']}")
    return content


def pair_content(found: Diagnosis) -> dict[str, Any]:
    """The atlas: what is told of it."""
    atlas = found.atlas
    count, run = len(atlas), int(atlas.exact.sum())
    words = f"{count:,} pairs, {run:,} run exactly"
    words += "." if run == count else f", the other {count - run:,} predicted."
    most = max(len(pairs_of_gate(found, gate)) for gate in found.profile.cuts)
    if most > LISTED:
        words += f" The table lists the {LISTED:,} largest effects; the map shows all."
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
    return {
        "pair_words": words,
        "agreement": agreement,
        "trial_words": trial_words,
        "classes": classes,
        "pair_tolerance": f"{found.account.settings['tolerance']:g}" if found.account else "",
        "coupling_names": COUPLINGS,
    }


def _pair_table(found: Diagnosis, gate: str, suffix: str, change: str) -> dict[str, Any]:
    """The label of a gate's map, and its table, at first of the twenty largest."""
    mine = pairs_of_gate(found, gate)
    listed, count = min(LISTED, len(mine)), len(mine)
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
    of_gate = f" of the gate {gate}" if gate else ""
    caption = f"The {listed:,} largest effects{of_all}{of_gate}: {change} without the pair"
    heading, n_blocks = found.profile.definition.heading, len(found.atlas.coordinates[gate].starts)
    rows = _pair_rows(found, mine[largest_pairs(found, mine, 20)], len(columns))
    return {
        "atlas_label": (
            f"Effect on {heading} of removing each pair of blocks{of_gate}, {n_blocks} by "
            f"{n_blocks}; the table below holds the numbers"
        ),
        "pairs": Table(f"pairs{suffix}", caption, columns, rows, sortable=True),
    }


def _pair_rows(found: Diagnosis, chosen: npt.NDArray[np.int64], n_columns: int) -> list[list[Cell]]:
    """Rows of some pairs, which the script replaces by all."""
    atlas = found.atlas
    rows = []
    for at in chosen:
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
        *(
            [Cell(f"{what} removed, {gate}"), Cell(f"{share:.1%}", share)]
            for gate, shares in can_go.gate_shares.items()
            for what, share in zip(("pairs", "mass"), shares, strict=True)
            if gate
        ),
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
        return {"account": None}
    own = account.settings.get("measure", found.profile.measure)
    other = "" if own == found.profile.measure else f", by the surrogate {own}"

    def draw(names: tuple[str, ...]) -> Markup:
        return figures.account_bars(account, "loss", names)

    known = account.couplings
    return {
        "account_figure": "" if found.profile.gates else draw(known),
        "account_grid": by_gate(found, lambda names: draw(tuple(x for x in names if x in known))),
        "account_measure": other,
        "kind_figure": figures.kind_bars([(k, float(s)) for k, s in account.mass_share.items()]),
        "account": tables.account_table(found),
        "shares": [
            (name, f"{share:.0%}", f"{account.readout_share[name]:.0%}")
            for name, share in account.state_share.items()
            if name.endswith("R")
        ],
    }


def null_content(found: Diagnosis, change: str, tolerance: float) -> dict[str, Any]:
    """The tests against random ablations."""
    tests = tables.named_tests(found)
    if not tests:
        return {"nulls": None}
    x = figures.null_scale(tests, tolerance)

    def draw(names: tuple[str, ...]) -> Markup:
        mine = [test for test in tests if str(test[1].names[test[2]]) in names]
        return figures.null_ranges(mine, change, x) if mine else Markup("")

    return {
        "null_figure": draw(found.joint),
        "null_grid": by_gate(found, draw),
        "nulls": tables.null_table(found),
    }


def spectrum_content(profile: AblationProfile) -> list[dict[str, Any]]:
    """The spectrum of each gate, the vanilla cell's being ``""``, and what is said about its T."""
    radius = max(cut.schur.rho for cut in profile.cuts.values())
    content = []
    for gate, cut in profile.cuts.items():
        schur, suffix = cut.schur, f"-{gate}" if gate else ""
        norm = float(np.linalg.norm(schur.W))
        fewest, most = cut.conditioning.n_R_range
        words = "Rounding of the weights leaves the cut as it is."
        if not cut.determined:
            words = f"Under rounding of the weights, R may have {fewest} to {most} dimensions."
        content.append(
            {
                "gate": gate,
                "suffix": suffix,
                "spectrum_figure": figures.spectrum(
                    schur, cut.n_R, cut.alpha, name=f"spectrum-figure{suffix}", radius=radius
                ),
                "circle": schur.order == "modulus",
                "rho": shown(schur.rho),
                "n_hidden": schur.n_hidden,
                "departure": shown(schur.departure),
                "departure_share": f"{schur.departure / norm if norm > 0 else 0.0:.0%}",
                "sectors_words": words,
            }
        )
    return content


def gate_table(profile: AblationProfile) -> Table | None:
    """The matrices of the gates beside each other; None for the vanilla cell."""
    if not profile.gates:
        return None
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
        for gate, cut in profile.gates.items()
    ]
    return Table("gates", "The matrices of the gates", columns, rows)


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
