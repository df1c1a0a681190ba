"""What the terminal shows: progress while the jobs run, then the tables beside the paper."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from types import TracebackType

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from ..plotting import label
from .experiments import Experiment
from .jobs import Job, JobRecord
from .summary import VERDICT_RULE, Summary

QUICK_NOTE = (
    "QUICK: small networks, little training. These numbers check that everything runs; "
    "they are not to be compared with the paper."
)


class JobProgress:
    """A bar for all optimiser steps and one for every running job; a line for each that ends."""

    def __init__(self, console: Console, jobs: Sequence[Job]) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._steps: dict[str, int] = {job.name: 0 for job in jobs}
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._total = self._progress.add_task(
            "all training steps", total=sum(job.steps for job in jobs), loss=""
        )

    def __enter__(self) -> JobProgress:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def reused(self, job: Job) -> None:
        """A line; the job's steps count as done."""
        self._console.print(f"[dim]{job.name}: reused, complete and valid[/]")
        self._set(job, job.steps)

    def redoing(self, job: Job, reason: str) -> None:
        """A line."""
        self._console.print(f"[yellow]{job.name}: done again, {escape(reason)}[/]")

    def advanced(self, job: Job, done: int, total: int, loss: float) -> None:
        """Moves the bars."""
        with self._lock:
            bar = self._bars.get(job.name)
            if bar is None:
                bar = self._progress.add_task(f"  {job.name}", total=total, loss="")
                self._bars[job.name] = bar
        self._progress.update(bar, completed=done, loss=f"loss {loss:.2e}")
        self._set(job, done)

    def finished(self, record: JobRecord) -> None:
        """A line; the job's bar goes."""
        seconds = record.content["seconds"]
        self._close(record.job)
        self._console.print(
            f"{record.job.name}: trained {seconds['train']:.1f} s, "
            f"ablated {seconds['ablate']:.1f} s, loss {record.content['last_loss']:.2e}"
        )

    def failed(self, job: Job, error: Exception) -> None:
        """A line; the job's bar goes."""
        self._close(job)
        self._console.print(f"[bold red]{job.name}: FAILED, {escape(str(error))}[/]")

    def _close(self, job: Job) -> None:
        with self._lock:
            bar = self._bars.pop(job.name, None)
        if bar is not None:
            self._progress.remove_task(bar)

    def _set(self, job: Job, done: int) -> None:
        with self._lock:
            self._steps[job.name] = done
            total = sum(self._steps.values())
        self._progress.update(self._total, completed=total)


def print_tables(
    console: Console,
    rows: Sequence[Summary],
    experiments: Sequence[Experiment],
    *,
    seeds: int,
    is_quick: bool,
) -> None:
    """Table 1, Figure 1 and Figure 2 of the paper, with this run's numbers beside them."""
    over = f"mean ± SEM of {seeds} seeds" if seeds > 1 else "1 seed"
    titles = {
        "Table 1": f"Table 1, copy task: replay accuracy, {over}",
        "Figure 1": f"Figure 1, copy task: replay accuracy of all eight subsets, α = 0.9, {over}",
        "Figure 2": f"Figure 2, single blocks, α = 0.9, {over}",
    }
    for source, title in titles.items():
        chosen = [
            (experiment, [row for row in rows if _belongs(row, experiment, source)])
            for experiment in experiments
        ]
        if not any(mine for _, mine in chosen):
            continue
        console.print(f"\n[bold]{'[yellow]QUICK[/] ' if is_quick else ''}{title}[/]")
        for place, (experiment, mine) in enumerate(pair for pair in chosen if pair[1]):
            if place > 0:
                console.print()
            console.print(_table(experiment, mine, seeds, source, show_header=place == 0))
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


def _belongs(row: Summary, experiment: Experiment, source: str) -> bool:
    if row.experiment != experiment.name:
        return False
    if experiment.group == "copy":
        return row.paper_source == source
    if source != "Figure 2":
        return False
    quantities = ("value",) if row.ablation == "full" else ("change", "sensitivity")
    return row.quantity in quantities


def _table(
    experiment: Experiment,
    rows: Sequence[Summary],
    seeds: int,
    source: str,
    *,
    show_header: bool,
) -> Table:
    """The rows of one experiment; fixed widths, so that the tables of a group line up."""
    table = Table(
        title=experiment.title,
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
    last = experiment.alphas[0]
    for row in rows:
        if row.alpha != last:
            table.add_section()
        last = row.alpha
        digits = _digits(row, experiment)
        table.add_row(
            (f"α {row.alpha:<4g} " if source == "Table 1" else "") + _quantity(row, experiment),
            _with_sem(row.mean, row.sem, digits),
            "–"
            if math.isnan(row.t_low)
            else f"{_number(row.t_low, digits)} … {_number(row.t_high, digits)}",
            row.paper_words or _with_sem(row.paper_mean, row.paper_sem, digits),
            _verdict(row, seeds),
        )
    return table


def _digits(row: Summary, experiment: Experiment) -> int:
    """Decimals of a row: three for accuracies, else about three significant digits."""
    if row.quantity == "n_R":
        return 1
    if experiment.measure == "replay_accuracy":
        return 3
    size = max(abs(row.mean), abs(row.paper_mean or 0.0))
    if not math.isfinite(size) or size >= 10:
        return 1
    return 2 if size >= 1 else 3 if size >= 0.1 else 4


def _number(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0: no minus zero


def _with_sem(mean: float | None, sem: float | None, digits: int) -> str:
    if mean is None or math.isnan(mean):
        return "–"
    if sem is None or math.isnan(sem):
        return _number(mean, digits)
    return f"{_number(mean, digits)} ± {_number(sem, digits)}"


def _quantity(row: Summary, experiment: Experiment) -> str:
    if row.quantity == "n_R":
        return "n_R"
    name = label(row.ablation)
    if experiment.measure == "replay_accuracy":
        return name
    if row.quantity == "value":
        return "FVU full"
    return f"{'ΔFVU' if row.quantity == 'change' else 'S_ΔT'} {name}"


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
