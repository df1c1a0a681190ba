"""Gated networks beside vanilla ones: the README's table, and the longer ones of docs/gated.md.

    python .readme/gated.py STORE [PROCESSES]

trains and diagnoses the networks of gated.toml with each cell, as far as they are not in the folder
STORE, and prints the tables in Markdown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import schurscope as ss

CELLS = {"vanilla": False, "gru": True, "lstm": True}
PAPER = {"optimizer": "adamw", "weight_decay": 0.01, "epochs": 250, "batches_per_epoch": 100}
COUPLINGS = ("RR", "CR", "CC", "BB")
Networks = dict[tuple[str, str], list[ss.Diagnosis]]  # by task and cell


def main(store: str, processes: str = "0") -> None:
    """Run what is missing, and print."""
    base = ss.Sweep.load(Path(__file__).with_name("gated.toml"))
    paper = [replace(task, training=PAPER) if task.label == "copy" else task for task in base.tasks]
    sweeps = [
        replace(base, cell=ss.Cell(kind=kind), ablations=None, tasks=base.tasks if gated else paper)
        for kind, gated in CELLS.items()
    ]
    ss.sweep.run(sweeps, store, n_workers=int(processes), progress=ss.sweep.Progress())
    found: Networks = {}
    for kind, sweep in zip(CELLS, sweeps, strict=True):
        collected = ss.sweep.collect(sweep, store)
        for job in collected.jobs.itertuples():
            found.setdefault((str(job.task), kind), []).append(collected.diagnosis(job))
    tasks = dict.fromkeys(task for task, _ in found)
    rows = [(task, kind) for task in tasks for kind in CELLS]
    print("Means, and lowest … highest, of three networks; for a coupling also in how many it is")
    print("needed, by the interval over trials, and in how many it costs more than random pairs.\n")
    _table(SUMMARY, ([*row, *_summary(found[row])] for row in rows))
    _table(
        BY_GATE, (cells for row in rows if row[1] != "vanilla" for cells in _by_gate(row, found))
    )
    _table(CUTS, (cells for row in rows for cells in _cuts(row, found)))


SUMMARY = ("task", "cell", "full network", "−RR", "−CR", "−CC", "pairs that can go", "at random")
BY_GATE = ("task", "cell", "gate", *(f"−{name}" for name in COUPLINGS), "pairs that can go")
CUTS = ("task", "cell", "gate", "n_R", "−CR at α = 0.9", "largest −CR", "at k")


def _summary(networks: Sequence[ss.Diagnosis]) -> list[str]:
    """The full network, each coupling in all gates, and what can go."""
    return [
        _range([each.profile.value[0] for each in networks]),
        *(_effect(networks, name) for name in COUPLINGS[:3]),
        _shares([each.removable.pair_share for each in networks]),
        _shares([each.removable.random_pair_share for each in networks]),
    ]


def _by_gate(row: tuple[str, str], found: Networks) -> Iterable[list[str]]:
    """Each coupling of each gate."""
    networks = found[row]
    for gate in networks[0].profile.gates:
        effects = [_effect(networks, f"{gate}:{name}") for name in COUPLINGS]
        yield [*row, gate, *effects, _shares([d.removable.gate_shares[gate][0] for d in networks])]


def _cuts(row: tuple[str, str], found: Networks) -> Iterable[list[str]]:
    """Where the cut curve of each gate is largest."""
    networks = found[row]
    for gate in networks[0].curves:
        curves = [each.curves[gate] for each in networks]
        best = [int(np.argmax(np.nan_to_num(np.abs(curve.change)))) for curve in curves]
        cuts = [each.profile.cuts[gate] for each in networks]
        at_alpha = [each.profile[f"{gate}:CR" if gate else "CR"].change for each in networks]
        yield [
            *row,
            gate or "–",
            ", ".join(str(cut.n_R) for cut in cuts),
            _range(at_alpha, sign="+"),
            _range([curve.change[at] for curve, at in zip(curves, best, strict=True)], sign="+"),
            ", ".join(str(curve.cut[at]) for curve, at in zip(curves, best, strict=True)),
        ]


def _effect(networks: Sequence[ss.Diagnosis], name: str) -> str:
    """The change without a coupling, in how many it is needed, and in how many beyond chance."""
    if all(each.decision(name) == "vacuous" for each in networks):
        return "vacuous"
    text = _range([each.profile[name].change for each in networks], sign="+")
    needed = sum(each.decision(name) == "needed" for each in networks)
    beyond = sum(
        each.decision(name) == "needed"
        and each.chance(name)[0] < 0.05
        and each.chance(name)[1] > 0.5
        for each in networks
    )
    return f"{text}; {needed}, {beyond}"


def _range(values: Sequence[float], sign: str = "") -> str:
    numbers = [_number(value, sign) for value in (np.mean(values), min(values), max(values))]
    return "{} ({} … {})".format(*numbers)


def _number(value: float, sign: str) -> str:
    digits = ".4f" if abs(value) < 0.01 else ".2g"
    text = f"{value:{sign}{digits}}".replace("-", "−")
    return "0" if text.strip("+−") == "0.0000" else text


def _shares(values: Sequence[float]) -> str:
    return f"{np.mean(values):.0%} ({min(values):.0%} … {max(values):.0%})"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for cells in (columns, ["---"] * len(columns), *rows):
        print("|", " | ".join(cells), "|")
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
