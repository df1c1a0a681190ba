"""Reproduction of the paper: networks, ablations and figures, beside the published numbers.

S. Dräger, "Task-Restricted Symmetries in Recurrent Weight Space", arXiv:2606.18457. The command
is ``schurscope reproduce``. Two sweeps, ``paper/copy.toml`` and ``paper/neuroscience.toml``, train
the networks; this folder compares their results with the published values.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from .. import _core
from .._internal.brief import Brief
from .._internal.checks import choice, nonnegative_int
from .._internal.json import write_json
from ..reporting.render import environment
from ..sweep.plan import Job, plan
from ..sweep.progress import Progress
from ..sweep.run import run
from ..sweep.store.store import Store
from ..sweep.todo import Outcome
from .console import QUICK_NOTE, print_tables
from .diagnoses import FOLDER, diagnose_networks
from .diagnosis_tables import save_and_print
from .experiments import GROUPS, PAPER, PaperValue, paper_sweep
from .records import Record, job_name, read_records, save_networks
from .report import save_report, save_tables
from .summary import Summary, summaries

__all__ = ["GROUPS", "PAPER", "PaperValue", "Reproduction", "Summary", "paper_sweep", "reproduce"]

RUN_FORMAT = "schurscope-run-2"
SUBFOLDERS = ("networks", "tables", "figures")


@dataclass(frozen=True, eq=False, repr=False)
class Reproduction(Brief):
    """The outcome of a run.

    Attributes
    ----------
    outcome : schurscope.sweep.Outcome
        Outcome of this process's sweep.
    records : tuple of Record
        All finished jobs, in plan order.
    rows : tuple of Summary
        Every number beside the published one.
    failures : dict
        Name → error message of each failed job.
    missing : int
        Number of unfinished jobs. Unless it is 0, records and rows are empty, and no tables or
        figures are written.
    """

    outcome: Outcome
    records: tuple[Record, ...]
    rows: tuple[Summary, ...]
    failures: dict[str, str]
    missing: int


def reproduce(
    groups: Sequence[str] = GROUPS,
    *,
    out: Path,
    seeds: int = 0,
    is_quick: bool = False,
    n_workers: int = 0,
    executor: Executor | None = None,
    capacity: Callable[[], int] | None = None,
    part: tuple[int, int] | None = None,
    stop_after: float | None = None,
    with_diagnoses: bool = False,
    with_pages: bool = False,
    console: Console | None = None,
) -> Reproduction:
    """Train and ablate the paper's networks, and save all results in one folder.

    Parameters
    ----------
    groups : sequence of {"copy", "neuroscience"}
    out : Path
        Output folder; created if absent. Its subfolder ``store`` is the store of a sweep, through
        which later and concurrent runs reuse finished jobs. Failed jobs are retried.
    seeds : int
        Networks per experiment; 0 means 6, or 2 in a quick run.
    is_quick : bool
        Small networks, brief training: a check that everything runs, not a result.
    n_workers, executor, capacity, part, stop_after
        As in `schurscope.sweep.run`. The numbers do not depend on them.
    with_diagnoses : bool
        Also diagnose every network that has a coupling, once all jobs are done: pages and tables
        go to the subfolder ``diagnosis``, and complete ones there are reused.
    with_pages : bool
        With the diagnoses, also write HTML pages about each network and about those of each task.
    console : rich Console, optional

    Returns
    -------
    Reproduction

    Raises
    ------
    ValueError
        An argument is invalid; `out` is a file, or holds a run of another mode or version.
    OSError
        `out` cannot be written to.
    KeyboardInterrupt
        Interrupted: finished jobs are kept in `out`, and every file there is complete.
    """
    started = time.perf_counter()
    for group in groups:
        choice(group, "groups", GROUPS)
    nonnegative_int(seeds, "seeds")
    if with_pages:
        environment()  # fails before the work, not after it
    console = console or Console()
    mode = "quick" if is_quick else "full"
    _prepare(out, mode)

    sweeps = {
        group: paper_sweep(group, seeds=seeds, is_quick=is_quick)
        for group in GROUPS
        if group in groups
    }
    console.print(
        f"{'[bold yellow]QUICK[/] run' if is_quick else 'Run'}, core level {_core.LEVEL}; results "
        f"go to [bold]{out}[/]"
    )
    if is_quick:
        console.print(f"[yellow]{QUICK_NOTE}[/]")
    outcome = run(
        list(sweeps.values()),
        out / "store",
        n_workers=n_workers,
        executor=executor,
        capacity=capacity,
        part=part,
        retry_failed=True,
        verify=True,
        stop_after=stop_after,
        progress=Progress(console.file),
    )
    if outcome.done > outcome.ran:
        reused = outcome.done - outcome.ran
        console.print(f"{reused} of {outcome.total} jobs were there already, complete and valid.")

    store = Store(out / "store")
    plans = {group: plan(sweep, store.level) for group, sweep in sweeps.items()}
    jobs = [(group, job) for group, mine in plans.items() for job in mine]
    done, failures = _state([job for _, job in jobs], store)
    missing = len(jobs) - len(done) - len(failures)
    if missing:
        console.print(
            f"{missing} of {len(jobs)} jobs are not done yet; the run that finds all of them done "
            "writes the tables and figures."
        )
        return Reproduction(outcome, (), (), failures, missing)

    records = read_records([(group, job) for group, job in jobs if job.key in done], store)
    rows = summaries(records, compare=not is_quick)
    files = save_networks(records, store, out)
    files += save_tables(records, rows, out, mode=mode)
    from .figures import save_figures  # Matplotlib, once there is something to draw

    files += save_figures(records, out, is_quick=is_quick)
    seeds = len({job.seed for _, job in jobs})
    seconds = time.perf_counter() - started
    about = {"seeds": list(range(seeds)), **asdict(outcome), "seconds": seconds}
    save_report(plans, records, rows, failures, out, mode=mode, run=about, files=files)
    settings = {job.setting.label: job.setting for _, job in jobs}
    print_tables(console, rows, settings, seeds=seeds, is_quick=is_quick)
    console.print(f"{seconds:.0f} s. Figures, tables, networks and report.json are in {out}")
    if with_diagnoses:
        diagnosed = diagnose_networks(
            records,
            out,
            n_workers=n_workers,
            executor=executor,
            progress=Progress(console.file),
            with_pages=with_pages,
        )
        save_and_print(diagnosed, out, console, mode=mode)
        total = time.perf_counter() - started
        console.print(f"{total:.0f} s. Pages, tables and diagnoses are in {out / FOLDER}")
    return Reproduction(outcome, tuple(records), tuple(rows), failures, 0)


def _state(jobs: Sequence[Job], store: Store) -> tuple[set[str], dict[str, str]]:
    """Keys of the finished jobs, and name → error message of the failed ones."""
    done, failed = store.contents().entries.keys(), store.failed()
    messages = {
        job_name(job): str(store.failure(job.key)["error"])
        for job in jobs
        if job.key in failed and job.key not in done
    }
    return {job.key for job in jobs if job.key in done}, messages


def _prepare(out: Path, mode: str) -> None:
    """Create the output folder; check that it is writable and holds no other kind of run."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"out must be a folder, got the file {out}")
    marker = out / "run.json"
    ours = {"format": RUN_FORMAT, "mode": mode}
    if marker.exists() and (holds := _found(marker)) != ours:
        what = "a damaged run.json"
        if "format" in holds:
            is_ours = holds["format"] == RUN_FORMAT
            what = f"a {holds.get('mode')} run" + ("" if is_ours else " of another version")
        raise ValueError(
            f"out must not mix runs: {out} holds {what}, this one is {mode}; choose another folder"
        )
    try:
        for name in SUBFOLDERS:
            (out / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=out / name):
                pass
        write_json(marker, ours)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"out must be a folder that can be written to, got {out}: {reason}"
        ) from error


def _found(marker: Path) -> dict[str, Any]:
    """The contents of a run.json; empty if it is damaged."""
    try:
        return dict(json.loads(marker.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return {}
