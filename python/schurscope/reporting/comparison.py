"""What the page says that compares networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from . import distributions, figures, tables
from .data import json_element
from .svg import Scale, spanning
from .tables import Cell, Column, Table

if TYPE_CHECKING:
    from ..diagnosis.result import Diagnosis

__all__ = ["SIDE_BY_SIDE", "comparison_content"]

SIDE_BY_SIDE = 12
"""Up to so many networks have figures of their own; more are shown as distributions."""


def comparison_content(
    found: Sequence[Diagnosis],
    names: Sequence[str],
    links: Sequence[str],
    groups: Sequence[str],
    title: str,
    facts: Mapping[str, str],
) -> dict[str, Any]:
    """The values of the template of a comparison."""
    first = found[0].profile
    change, heading = first.definition.change_label, first.definition.heading
    tolerance = float(found[0].settings["tolerance"])
    couplings = list(dict.fromkeys(name for each in found for name in each.couplings))
    side_by_side = len(found) <= SIDE_BY_SIDE
    content = {
        "title": title or f"{len(found)} networks",
        "kind": "Comparison of diagnoses",
        "sections": [
            ("networks", "Networks"),
            ("couplings", "Couplings"),
            *([("cuts", "Cuts")] if any(each.curves for each in found) else []),
            *([("removable", "Removable")] if any(each.removable for each in found) else []),
            *([("dose", "Dose"), ("spectra", "Spectra")] if side_by_side else []),
            ("provenance", "Provenance"),
        ],
        "summary": _summary(found, heading),
        "change": change,
        "heading": heading,
        "tolerance": f"{tolerance:g}",
        "side_by_side": side_by_side,
        "limit": SIDE_BY_SIDE,
        "linked": any(links),
        "warnings": [
            (name, text) for name, each in zip(names, found, strict=True) for text in each.warnings
        ],
        "networks": _network_table(found, names, links, couplings),
        "distributions": _distributions(found, groups, couplings, change, tolerance),
        "shares": _shares(found, groups),
        "provenance": tables.facts_table(_shared(found) + list(facts.items())),
        "origins": _origins(found, names),
        "data": json_element({}),
    }
    side = _panels(found, names, couplings, change, tolerance) if side_by_side else {}
    overlaid = [] if side_by_side else _overlaid(found, change)
    return content | {"overlaid": overlaid, "panels": side}


def _overlaid(found: Sequence[Diagnosis], change: str) -> list[tuple[str, Markup]]:
    """The cut curves of all networks, those of each gate by themselves."""
    gates = dict.fromkeys(gate for each in found for gate in each.curves)
    return [
        (
            f"Gate {gate}" if gate else "",
            distributions.cut_lines(
                [each.curves[gate] for each in found if gate in each.curves], change
            ),
        )
        for gate in gates
    ]


def _summary(found: Sequence[Diagnosis], heading: str) -> list[tuple[str, str]]:
    units = sorted({each.profile.coordinates.n_hidden for each in found})
    values = [float(each.profile.value[0]) for each in found]
    return [
        ("networks", str(len(found))),
        ("units", ", ".join(map(str, units))),
        (f"{heading}, full networks", _range(values)),
        ("α", ", ".join(sorted({f"{each.profile.alpha:g}" for each in found}))),
        ("tolerance", ", ".join(sorted({f"{each.settings['tolerance']:g}" for each in found}))),
    ]


def _range(values: Sequence[float]) -> str:
    low, high = tables.shown(min(values)), tables.shown(max(values))
    return low if low == high else f"{low} … {high}"


def _network_table(
    found: Sequence[Diagnosis], names: Sequence[str], links: Sequence[str], couplings: Sequence[str]
) -> Table:
    first = found[0].profile.definition
    columns = [
        Column("network", "network", numeric=False),
        Column("N_h", "units"),
        Column("value", f"{first.heading}, full"),
    ]
    gates = list(dict.fromkeys(gate for each in found for gate in each.profile.cuts))
    for gate in gates:
        of_gate = f"{gate}: " if gate else ""
        columns += [
            Column(f"n_R_{gate}".rstrip("_"), f"{of_gate}n_R"),
            Column(f"gap_{gate}".rstrip("_"), f"{of_gate}gap"),
        ]
    for name in couplings:
        columns += [
            Column(f"decision_{name}", f"{name}: verdict", numeric=False),
            Column(f"change_{name}", f"{name}: {first.change_label}", interval=True),
        ]
    columns += [Column("pair_share", "pairs that can go"), Column("mass_share", "their mass")]
    rows = []
    for each, name, link in zip(found, names, links, strict=True):
        cuts, can_go = each.profile.cuts, each.removable
        row = [
            Cell(name, link=link),
            tables.whole(each.profile.coordinates.n_hidden),
            tables.number(each.profile.value[0]),
        ]
        for gate in gates:
            if gate in cuts:
                row += [tables.whole(cuts[gate].n_R), tables.number(cuts[gate].gap)]
            else:
                row += [Cell("–", float("nan"))] * 2
        for coupling in couplings:
            if coupling not in each.couplings:
                row += [Cell("–", ""), Cell("–", float("nan"))]
                continue
            ends = each.change_interval(coupling)
            row += [
                Cell(each.decision(coupling)),
                tables.number(each.profile[coupling].change, signed=True, ends=ends),
            ]
        for share in ("pair_share", "mass_share"):
            value = float(getattr(can_go, share, np.nan))
            row.append(Cell("–" if np.isnan(value) else f"{value:.0%}", value))
        rows.append(row)
    return Table("networks", "The networks", columns, rows, sortable=True)


def _distributions(
    found: Sequence[Diagnosis],
    groups: Sequence[str],
    couplings: Sequence[str],
    change: str,
    tolerance: float,
) -> Markup:
    rows = []
    for coupling in couplings:
        for group in dict.fromkeys(groups):
            values = [
                float(each.profile[coupling].change)
                for each, mine in zip(found, groups, strict=True)
                if mine == group and coupling in each.couplings
            ]
            rows.append((f"{coupling}, {group}" if group else coupling, values))
    return distributions.strips(rows, change, tolerance)


def _shares(found: Sequence[Diagnosis], groups: Sequence[str]) -> Markup:
    words = {
        "pair_share": "pairs",
        "random_pair_share": "pairs, random",
        "mass_share": "mass",
        "random_mass_share": "mass, random",
    }
    rows = []
    for share, name in words.items():
        for group in dict.fromkeys(groups):
            values = [
                float(getattr(each.removable, share))
                for each, mine in zip(found, groups, strict=True)
                if mine == group and each.removable is not None
            ]
            rows.append((f"{name}, {group}" if group else name, values))
    if not any(values for _, values in rows):
        return Markup("")
    return distributions.strips(rows, "share removed", None, Scale(0, 1))


def _panels(
    found: Sequence[Diagnosis],
    names: Sequence[str],
    couplings: Sequence[str],
    change: str,
    tolerance: float,
) -> dict[str, list[tuple[str, Markup]]]:
    """Figures of each network, on the same axes."""

    def of_each(draw: Callable[[Diagnosis], Markup]) -> list[tuple[str, Markup]]:
        return [(name, draw(each)) for name, each in zip(names, found, strict=True)]

    def of_gates(
        draw: Callable[[Diagnosis, str], Markup], gates: Callable[[Diagnosis], Iterable[str]]
    ) -> list[tuple[str, Markup]]:
        return [
            (f"{name}, {gate}" if gate else name, draw(each, gate))
            for name, each in zip(names, found, strict=True)
            for gate in gates(each)
        ]

    curves = [curve for each in found for curve in each.curves.values()]
    changes = [np.concatenate([curve.change, curve.interval.ravel()]) for curve in curves]
    cut_y = spanning(np.concatenate(changes)) if changes else Scale(0, 1)
    widest = max(each.profile.coordinates.n_hidden for each in found)
    sets = [each.removable for each in found if each.removable is not None]
    floor = tolerance / 30
    losses = [part[:, 2] for each in sets for part in (each.curve, each.random_curve)]
    largest = np.concatenate([*losses, [tolerance]])
    removal_y = Scale(
        floor, float(np.nanmax(np.where(np.isinf(largest), np.nan, largest))) * 1.5, "log"
    )
    dose_y = figures.dose_scale([each.dose for each in found], tolerance)
    reach = max(cut.schur.rho for each in found for cut in each.profile.cuts.values())
    alone = {
        name: (
            np.array([each.profile[name].change for each in found]),
            np.array([each.change_interval(name) for each in found]),
        )
        for name in couplings
        if all(name in each.couplings for each in found)
    }
    every = [part.ravel() for both in alone.values() for part in both]
    x = spanning(np.concatenate(every), "symlog", threshold=tolerance) if every else None
    return {
        "couplings": [
            (name, figures.forest(names, [(change, *both)], change, tolerance, x))
            for name, both in alone.items()
        ],
        "cuts": of_gates(
            lambda d, gate: figures.cut_figure(
                d.curves[gate], change, d.profile.cuts[gate].n_R, y=cut_y, width=widest
            ),
            lambda d: d.curves,
        ),
        "removable": of_each(
            lambda d: (
                figures.removal_lines(d.removable, "loss", removal_y) if d.removable else Markup("")
            )
        ),
        "dose": of_each(lambda d: figures.dose_lines(d.dose, change, dose_y, d.joint)),
        "spectra": of_gates(
            lambda d, gate: figures.spectrum(
                (cut := d.profile.cuts[gate]).schur, cut.n_R, cut.alpha, radius=reach
            ),
            lambda d: d.profile.cuts,
        ),
    }


def _shared(found: Sequence[Diagnosis]) -> list[tuple[str, object]]:
    """What all diagnoses have in common, or the different values."""
    kinds = {"version": "schurscope", "level": "instruction-set level", "tie_rule": "tie rule"}
    kinds |= {"dtype": "dtype of the rollouts", "n_trials": "trials", "n_steps": "steps of a trial"}
    return [
        (words, ", ".join(sorted({str(each.profile.settings[key]) for each in found})))
        for key, words in kinds.items()
        if all(key in each.profile.settings for each in found)
    ]


def _origins(found: Sequence[Diagnosis], names: Sequence[str]) -> Table:
    kinds = {
        "seed": "seed of the diagnosis",
        "network_sha256": "SHA-256 of the weights",
        "trials_sha256": "SHA-256 of the trials",
    }
    columns = [Column("network", "network", numeric=False)]
    columns += [Column(key, words, numeric=False) for key, words in kinds.items()]
    rows = [
        [Cell(name), *(Cell(str(each.settings.get(key, "unknown"))) for key in kinds)]
        for name, each in zip(names, found, strict=True)
    ]
    return Table("origins", "Seeds and hashes", columns, rows)
