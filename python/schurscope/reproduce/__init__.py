"""The paper, redrawn: its networks trained and taken apart, each number beside the published one.

S. Dräger, "Task-Restricted Symmetries in Recurrent Weight Space", arXiv:2606.18457. The command
line runs this as ``schurscope reproduce``.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from .. import _core
from .._internal.checks import choice, nonnegative_int
from .._internal.json import write_json
from .console import QUICK_NOTE, JobProgress, print_tables
from .experiments import EXPERIMENTS, GROUPS, PAPER, Experiment, PaperValue, quick
from .figures import save_figures
from .jobs import Job
from .report import save_report, save_tables
from .runner import Outcome, run_jobs
from .summary import Summary, summaries

__all__ = [
    "EXPERIMENTS",
    "GROUPS",
    "PAPER",
    "QUICK_SEEDS",
    "SEEDS",
    "Experiment",
    "Outcome",
    "PaperValue",
    "Summary",
    "quick",
    "reproduce",
]

SEEDS = 6  # networks differ: in the copy task −CR has a standard deviation of 0.04 over seeds
QUICK_SEEDS = 2
RUN_FORMAT = "schurscope-run-1"
SUBFOLDERS = ("networks", "jobs", "tables", "figures")


def reproduce(
    groups: Sequence[str] = GROUPS,
    *,
    out: Path,
    seeds: int = 0,
    is_quick: bool = False,
    n_jobs: int = 0,
    n_threads: int = 0,
    console: Console | None = None,
) -> tuple[Outcome, list[Summary]]:
    """Train and analyse what the paper reports, and leave everything in one folder.

    Parameters
    ----------
    groups : sequence of {"copy", "neuroscience"}
    out : Path
        Output folder; made if it is not there. What an earlier run of the same mode left there and
        is complete and valid is reused.
    seeds : int
        Networks per experiment; 0 means SEEDS, in a quick run QUICK_SEEDS.
    is_quick : bool
        Small networks, little training: checks the pipes, says nothing about the paper.
    n_jobs : int
        Trainings at a time; 0 means the processors that this process may use.
    n_threads : int
        Threads of each ablation sweep; 0 shares the processors among the jobs.
    console : rich Console, optional

    Returns
    -------
    Outcome, list of Summary

    Raises
    ------
    ValueError
        A wrong argument; `out` is a file, or holds a run of the other mode.
    OSError
        `out` cannot be written to.
    KeyboardInterrupt
        Interrupted: finished jobs stay in `out`, and nothing there is half-written.
    """
    started = time.perf_counter()
    for group in groups:
        choice(group, "groups", GROUPS)
    seeds = nonnegative_int(seeds, "seeds") or (QUICK_SEEDS if is_quick else SEEDS)
    processors = _core.resolve_threads(0)
    n_jobs = nonnegative_int(n_jobs, "n_jobs") or processors
    n_threads = nonnegative_int(n_threads, "n_threads") or max(1, processors // n_jobs)
    console = console or Console()
    mode = "quick" if is_quick else "full"
    _prepare(out, mode)

    chosen = [experiment for experiment in EXPERIMENTS if experiment.group in groups]
    experiments = [quick(experiment) if is_quick else experiment for experiment in chosen]
    jobs = [Job(experiment, seed, mode) for experiment in experiments for seed in range(seeds)]
    console.print(
        f"{'[bold yellow]QUICK[/] run' if is_quick else 'Run'} of {len(jobs)} trainings, {n_jobs} "
        f"at a time, core level {_core.LEVEL}; results go to [bold]{out}[/]"
    )
    if is_quick:
        console.print(f"[yellow]{QUICK_NOTE}[/]")
    with JobProgress(console, jobs) as progress:
        outcome = run_jobs(jobs, out, n_jobs=n_jobs, n_threads=n_threads, listener=progress)
    if outcome.reused:
        console.print(
            f"{len(outcome.reused)} of {len(jobs)} jobs reused from an earlier run "
            "(complete and valid)."
        )

    rows = summaries(outcome.records, compare=not is_quick)
    files = save_tables(outcome.records, rows, out, mode=mode)
    files += save_figures(outcome.records, out, is_quick=is_quick)
    seconds = time.perf_counter() - started
    run = {
        "seeds": list(range(seeds)),
        "jobs_at_once": n_jobs,
        "threads_per_sweep": n_threads,
        "seconds": seconds,
    }
    save_report(outcome, rows, experiments, out, mode=mode, run=run, files=files)
    print_tables(console, rows, experiments, seeds=seeds, is_quick=is_quick)
    console.print(f"{seconds:.0f} s. Figures, tables, networks and report.json are in {out}")
    return outcome, rows


def _prepare(out: Path, mode: str) -> None:
    """Make the output folder, sure that it can be written to and holds no run of another mode."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"out must be a folder, got the file {out}")
    marker = out / "run.json"
    if marker.exists():
        try:
            found = json.loads(marker.read_text(encoding="utf-8"))["mode"]
        except (ValueError, KeyError, TypeError):
            found = None
        if found != mode:
            holds = f"a {found} run" if found else "a damaged run.json"
            raise ValueError(
                f"out must not mix runs: {out} holds {holds}, this one is {mode}; "
                "choose another folder"
            )
    try:
        for name in SUBFOLDERS:
            (out / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=out / name):
                pass
        write_json(marker, {"format": RUN_FORMAT, "mode": mode})
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"out must be a folder that can be written to, got {out}: {reason}"
        ) from error
