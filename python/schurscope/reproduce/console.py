"""Tables of the results beside the paper's, on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from ..ablation.measures import MEASURES
from ..sweep.plan import Setting
from .experiments import PAPER, TITLES
from .summary import VERDICT_RULE, Summary

QUICK_NOTE = (
    "QUICK: small networks, brief training. These numbers check that everything runs; "
    "they are not to be compared with the paper."
)


def print_tables(
    console: Console,
    rows: Sequence[Summary],
    settings: Mapping[str, Setting],
    *,
    seeds: int,
    is_quick: bool,
) -> None:
    """Print this run's numbers beside those of the paper's Table 1, Figure 1 and Figure 2."""
    over = f"mean ± SEM of {seeds} seeds" if seeds > 1 else "1 seed"
    titles = {
        "Table 1": f"Table 1, copy task: replay accuracy, {over}",
        "Figure 1": f"Figure 1, copy task: replay accuracy of all eight subsets, α = 0.9, {over}",
        "Figure 2": f"Figure 2, single blocks, α = 0.9, {over}",
    }
    for source, title in titles.items():
        chosen = [
            (setting, [row for row in rows if row.experiment == label and _is_shown(row, source)])
            for label, setting in settings.items()
        ]
        if not any(mine for _, mine in chosen):
            continue
        console.print(f"\n[bold]{'[yellow]QUICK[/] ' if is_quick else ''}{title}[/]")
        for place, (setting, mine) in enumerate(pair for pair in chosen if pair[1]):
            if place > 0:
                console.print()
            console.print(_table(setting, mine, seeds, source, show_header=place == 0))
    console.print()
    if is_quick:
        console.print(f"[bold yellow]{QUICK_NOTE}[/]")
        return
    console.print(f"Rule: {VERDICT_RULE}", style="dim", highlight=False)
    if any(row.vacuous for row in rows):
        console.print(
            "vacuous: the ablation removes nothing (‖ΔT‖ is rounding), so its result says nothing "
            "about invariance.",
            style="dim",
            highlight=False,
        )
    judged = [row for row in rows if row.verdict]
    missed = sum(row.verdict == "MISS" for row in judged)
    console.print(
        f"{len(judged) - missed} of {len(judged)} published values agree; "
        f"{missed} {'is a MISS' if missed == 1 else 'are MISSES'}.",
        highlight=False,
    )


def _is_shown(row: Summary, source: str) -> bool:
    """Whether the table of this source shows the row: a published value, or one beside it."""
    if source != "Figure 2":
        return row.paper_source == source
    is_single = any(v.source == source for v in PAPER if v.experiment == row.experiment)
    quantities = ("value",) if row.ablation == "full" else ("change", "sensitivity")
    return is_single and row.quantity in quantities


def _table(
    setting: Setting,
    rows: Sequence[Summary],
    seeds: int,
    source: str,
    *,
    show_header: bool,
) -> Table:
    """The rows of one experiment; fixed widths, so that the tables of a group line up."""
    table = Table(
        title=TITLES[setting.label],
        title_justify="left",
        title_style="italic",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        show_header=show_header,
        padding=0,
        pad_edge=False,
    )
    table.add_column("", width=11, no_wrap=True)
    table.add_column("this run", width=16, justify="right", no_wrap=True)
    table.add_column("95 % t-interval", width=16, justify="right", no_wrap=True)
    table.add_column("paper", width=15, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=17)
    last = setting.alphas[0]
    for row in rows:
        if row.alpha != last:
            table.add_section()
        last = row.alpha
        digits = _digits(row, setting)
        table.add_row(
            (f"α {row.alpha:<4g} " if source == "Table 1" else "") + _quantity(row, setting),
            _with_sem(row.mean, row.sem, digits),
            "–"
            if math.isnan(row.t_low)
            else f"{number(row.t_low, digits)} … {number(row.t_high, digits)}",
            row.paper_words or _with_sem(row.paper_mean, row.paper_sem, digits),
            _verdict(row, seeds),
        )
    return table


def _digits(row: Summary, setting: Setting) -> int:
    """Decimals of a row: three for shares, else about three significant digits."""
    if row.quantity == "n_R":
        return 1
    if MEASURES[setting.measure].limits is not None:
        return 3
    size = max(abs(row.mean), abs(row.paper_mean or 0.0))
    if not math.isfinite(size) or size >= 10:
        return 1
    return 2 if size >= 1 else 3 if size >= 0.1 else 4


def number(value: float, digits: int) -> str:
    """A number as the tables show it, with a true minus sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0: no minus zero


def _with_sem(mean: float | None, sem: float | None, digits: int) -> str:
    if mean is None or math.isnan(mean):
        return "–"
    if sem is None or math.isnan(sem):
        return number(mean, digits)
    return f"{number(mean, digits)} ± {number(sem, digits)}"


def _quantity(row: Summary, setting: Setting) -> str:
    if row.quantity == "n_R":
        return "n_R"
    from ..plotting import label

    name, measure = label(row.ablation), MEASURES[setting.measure]
    if measure.limits is not None:
        return name
    if row.quantity == "value":
        return f"{measure.heading} full"
    return f"{f'Δ{measure.heading}' if row.quantity == 'change' else 'S_ΔT'} {name}"


def _verdict(row: Summary, seeds: int) -> str:
    style = {"MISS": "bold red", "agrees": "green", "QUICK": "yellow"}.get(row.verdict)
    notes = [f"[{style}]{row.verdict}[/]"] if style else []
    if row.vacuous == seeds:
        notes.append("vacuous")
    elif row.vacuous:
        notes.append(f"vacuous {row.vacuous}/{seeds}")
    if row.diverged:
        notes.append(f"[bold red]diverged {row.diverged}/{seeds}[/]")
    return ", ".join(notes)
