"""Tables of the diagnoses of a run, over networks, and the paper's claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from ..ablation.measures import MEASURES
from ..coordinates.sectors import COUPLINGS
from ..diagnosis.verdicts import APART
from .claims import CLAIM_RULE, claims
from .console import QUICK_NOTE, number
from .diagnoses import FOLDER, TOLERANCE, Diagnosed
from .experiments import ALPHA
from .report import save_csv

DECISIONS = {
    "needed": "needed",
    "not needed": "not needed",
    "undecided": "undecided",
    "a burden": "burden",
    "vacuous": "vacuous",
}
TESTS = {"p_N": "pairs of N", "p_outside": "pairs outside", "p_partition": "partitions"}


def save_and_print(
    diagnosed: Sequence[Diagnosed], out: Path, console: Console, *, mode: str
) -> None:
    """Write ``diagnosis/networks.csv`` and ``claims.csv``, and print the tables."""
    if not diagnosed:
        console.print("No network has a coupling, so there is nothing to diagnose.")
        return
    found = claims(diagnosed)
    save_csv(out, f"{FOLDER}/networks.csv", [one.numbers for one in diagnosed], mode)
    if found:
        rows = [
            {**asdict(claim), "survives": claim.survives, "words": str(claim)} for claim in found
        ]
        save_csv(out, f"{FOLDER}/claims.csv", rows, mode)
    kinds: dict[str, list[Diagnosed]] = {}
    for one in diagnosed:
        name = f"{one.experiment}\n{MEASURES[one.measure].heading}"
        kinds.setdefault(name, []).append(one)
    seeds = len({one.seed for one in diagnosed})
    quick = "[yellow]QUICK[/] " if mode == "quick" else ""
    console.print(
        f"\n[bold]{quick}Diagnosis at α = {ALPHA:g}, {seeds} networks per task: median "
        "(lowest … highest)[/]"
    )
    for table in (_removable(kinds), _sensitivity(kinds), _decisions(kinds), _nulls(kinds)):
        console.print()
        console.print(table)
    if any(one.diagnosis.profile["BB"].removed_mass > 0 for one in diagnosed):
        console.print("BB, inside the 2×2 blocks, is not in the paper.", style="dim")
    console.print(f"\n[bold]{quick}Claims of the paper[/]")
    for claim in found:
        style = "green" if claim.survives else "red" if claim.networks else "yellow"
        mark = "survives" if claim.survives else "fails" if claim.networks else "untested"
        console.print(f"[{style}]{mark:<9}[/]{claim}", highlight=False, soft_wrap=True)
    console.print(f"Rule: {CLAIM_RULE}", style="dim", highlight=False, soft_wrap=True)
    if quick:
        console.print(f"[bold yellow]{QUICK_NOTE}[/]")


def _removable(kinds: dict[str, list[Diagnosed]]) -> Table:
    table = _table(
        "Effects of single pairs, predicted against exact; what can go at once at a loss of at "
        f"most {TOLERANCE:g}, beside random orders",
        ("Spearman", "median (lowest)"),
        ("pairs removed", "share"),
        ("random", "median"),
        ("mass removed", "share"),
        ("random", "median"),
    )
    for name, mine in kinds.items():
        agreement = _known(mine, "spearman")
        row = ["–" if not agreement.size else _pair(np.median(agreement), agreement.min())]
        for share in ("pair_share", "mass_share"):
            row += [_range(_known(mine, share), 2), _median(_known(mine, f"random_{share}"), 3)]
        table.add_row(name, *row)
    return table


def _sensitivity(kinds: dict[str, list[Diagnosed]]) -> Table:
    table = _table(
        "Loss without CR at this α, and the largest among cuts within a quarter of the dimensions",
        ("n_R", "at this α"),
        ("loss", "at this α"),
        ("loss", "largest near"),
        ("n_R", "of the largest"),
        ("over", "threefold"),
    )
    for name, mine in kinds.items():
        here, near = _column(mine, "CR"), _column(mine, "CR_largest_near")
        over = int((near > np.maximum(APART * here, TOLERANCE)).sum())
        table.add_row(
            name,
            _range(_known(mine, "n_R"), 0),
            _range(_known(mine, "CR"), 2),
            _range(_known(mine, "CR_largest_near"), 2),
            _range(_known(mine, "cut_of_largest"), 0),
            f"{over} of {len(mine)}",
        )
    return table


def _decisions(kinds: dict[str, list[Diagnosed]]) -> Table:
    table = _table("Verdicts: number of networks", *((name, "") for name in COUPLINGS))
    for name, mine in kinds.items():
        cells = []
        for coupling in COUPLINGS:
            counts = Counter(one.numbers[f"decision_{coupling}"] for one in mine)
            words = [f"{counts[key]} {word}" for key, word in DECISIONS.items() if counts[key]]
            cells.append("\n".join(words))
        table.add_row(name, *cells)
    return table


def _nulls(kinds: dict[str, list[Diagnosed]]) -> Table:
    table = _table(
        "CR against random removals of the same mass and random partitions: networks in which it "
        "costs more, or less, at p ≤ 0.05 (two-sided), and p",
        *((name, "") for name in TESTS.values()),
    )
    for name, mine in kinds.items():
        cells = []
        for test in TESTS:
            p = _column(mine, test)
            more = np.array([one.numbers[f"{test}_more"] for one in mine])
            is_rare = p <= 0.05
            counts = f"{int((is_rare & more).sum())} more, {int((is_rare & ~more).sum())} less"
            known = p[np.isfinite(p)]
            cells.append(f"{counts}\n{_range(known, 3)}" if known.size else "–")
        table.add_row(name, *cells)
    return table


def _table(title: str, *columns: tuple[str, str]) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="italic",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for heading, below in columns:
        table.add_column(f"{heading}\n{below}" if below else heading, justify="right")
    return table


def _column(diagnosed: Sequence[Diagnosed], name: str) -> Any:
    return np.array([one.numbers[name] for one in diagnosed], dtype=np.float64)


def _known(diagnosed: Sequence[Diagnosed], name: str) -> Any:
    numbers = _column(diagnosed, name)
    return numbers[~np.isnan(numbers)]


def _median(numbers: Any, digits: int) -> str:
    return number(float(np.median(numbers)), digits) if numbers.size else "–"


def _range(numbers: Any, digits: int) -> str:
    """Median, lowest and highest."""
    if not numbers.size:
        return "–"
    low, middle, high = (
        number(float(value), digits) for value in (numbers.min(), np.median(numbers), numbers.max())
    )
    return f"{middle} ({low} … {high})"


def _pair(middle: float, low: float) -> str:
    return f"{number(float(middle), 3)} ({number(float(low), 3)})"
