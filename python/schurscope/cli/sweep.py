"""The commands ``schurscope sweep plan | run | status | missing | collect | plot``."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from .._internal.files import atomic_path
from ..reporting.sweep import save_sweep_pages
from ..sweep.collect import Collection, collect, save_table, spectra
from ..sweep.config import Sweep
from ..sweep.diagnoses import (
    cut_curves,
    diagnoses,
    mass_by_kind,
    prediction_agreement,
    removable_against_width,
    removable_shares,
    summarize_cuts,
)
from ..sweep.plan import plan
from ..sweep.progress import Progress, duration
from ..sweep.run import run
from ..sweep.statistics import against_width, effects, paired_differences, summarize
from ..sweep.store.store import Store
from .options import place_options, placed

RECENT = 600.0  # seconds; jobs finished within them determine the estimated speed


def _config(_ctx: click.Context, _param: click.Parameter, path: Path) -> Sweep:
    return Sweep.load(path)


_takes_config = click.argument(
    "sweep",
    metavar="CONFIG.toml",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    callback=_config,
)
_takes_store = click.option(
    "--store", type=click.Path(path_type=Path), required=True, help="Folder of the results."
)
_takes_verify = click.option(
    "--verify", is_flag=True, help="Read and check every file of the store."
)


@click.group("sweep")
def sweep_command() -> None:
    """Train and ablate thousands of networks.

    \b
    Example:
      schurscope sweep run widths.toml --store results
      schurscope sweep status widths.toml --store results
      schurscope sweep collect widths.toml --store results --out table.parquet
    Format of CONFIG.toml: python -c "import schurscope.sweep as s; help(s)"
    """  # noqa: D301 - click reads the backspace


@sweep_command.command("plan")
@_takes_config
def plan_command(sweep: Sweep) -> None:
    """Show the jobs of a sweep."""
    jobs = plan(sweep)
    for task in dict.fromkeys(job.setting.label for job in jobs):
        mine = [job for job in jobs if job.setting.label == task]
        updates = mine[0].setting.training.n_updates
        click.echo(f"{task}: {len(mine)} networks, {updates} updates each")
        for recurrent in dict.fromkeys(job.recurrent for job in mine):
            widths = Counter(job.n_hidden for job in mine if job.recurrent == recurrent)
            listed = ", ".join(f"{width} ({count})" for width, count in widths.items())
            click.echo(f"  {recurrent}: N_h {listed}")
    cuts = ", ".join(f"{alpha:g}" for alpha in sweep.alphas)
    click.echo(f"each at alpha {cuts} with {', '.join(sweep.ablations)}")
    click.echo(f"{len(jobs)} jobs in all")


@sweep_command.command("run")
@_takes_config
@_takes_store
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: processors]")
@click.option("--retry-failed", is_flag=True, help="Retry failed jobs.")
@place_options
@_takes_verify
def run_command(
    sweep: Sweep,
    store: Path,
    workers: int | None,
    retry_failed: bool,
    verify: bool,
    **place: Any,
) -> None:
    """Run the missing jobs of a sweep.

    Can be interrupted or killed and then resumed, and run concurrently: no job runs twice. The
    first Ctrl-C waits for running jobs, the second stops at once.
    """
    with placed(workers or 0, **place) as where:
        outcome = run(
            sweep, store, **where, retry_failed=retry_failed, verify=verify, progress=Progress()
        )
    click.echo(
        f"{outcome.done} of {outcome.total} jobs are in {store}, {outcome.ran} done in "
        f"{duration(outcome.seconds)}, {outcome.failed} failed"
        + (f", {outcome.elsewhere} claimed by other processes" if outcome.elsewhere else "")
    )
    if outcome.failed:
        raise click.ClickException(f"{outcome.failed} jobs failed: see schurscope sweep missing")


@sweep_command.command("status")
@_takes_config
@_takes_store
def status_command(sweep: Sweep, store: Path) -> None:
    """Show the progress of a sweep, whichever processes run it."""
    found = Store(store)
    jobs = {job.key: job for job in plan(sweep, found.level)}
    index = found.index()
    entries = {key: entry for key, entry in index.items() if key in jobs}
    failed = found.failed() & jobs.keys() - entries.keys()
    running = found.running() & jobs.keys() - entries.keys() - failed
    missing = len(jobs) - len(entries) - len(failed) - len(running)
    click.echo(
        f"{len(entries)} of {len(jobs)} jobs done, {len(running)} running, {len(failed)} failed, "
        f"{missing} missing"
    )
    if others := len(index) - len(entries):
        click.echo(f"{others} finished jobs in {store} are of other settings")
    if running:
        now = time.time()
        recent = {key for key, entry in entries.items() if now - entry.finished < RECENT}
        if recent:
            since = now - min(entries[key].finished - entries[key].seconds for key in recent)
            speed = sum(jobs[key].cost for key in recent) / since
            left = sum(job.cost for key, job in jobs.items() if key not in entries.keys() | failed)
            click.echo(f"about {duration(left / speed)} left")


@sweep_command.command("missing")
@_takes_config
@_takes_store
@_takes_verify
@click.option("--traceback", is_flag=True, help="Show the tracebacks of failed jobs.")
def missing_command(sweep: Sweep, store: Path, verify: bool, traceback: bool) -> None:
    """List the unfinished jobs, each with its state and any error.

    The exit code is 1 if there are any.
    """
    found = Store(store)
    jobs = {job.key: job for job in plan(sweep, found.level)}
    table = collect(sweep, store, verify=verify).jobs
    left = table[table["state"] != "done"]
    for key, state, problem in zip(left["key"], left["state"], left["problem"], strict=True):
        click.echo(f"{key}  {state}  {jobs[key]}" + (f": {problem}" if problem else ""))
        if traceback and state == "failed":
            click.echo(found.failure(key)["traceback"])
    if len(left):
        sys.exit(1)


@sweep_command.command("collect")
@_takes_config
@_takes_store
@_takes_verify
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Table of all cuts and ablations: .parquet, .csv, or .nc (netCDF arrays).",
)
@click.option(
    "--jobs", type=click.Path(path_type=Path, dir_okay=False), help="Additional table of all jobs."
)
def collect_command(sweep: Sweep, store: Path, verify: bool, out: Path, jobs: Path | None) -> None:
    """Write all results as one table."""
    for option, path in (("--out", out), ("--jobs", jobs)):
        if path is None:
            continue
        allowed = (".parquet", ".csv", ".nc") if path is out else (".parquet", ".csv")
        if path.suffix not in allowed:
            raise click.BadParameter(
                f"must end in {' or '.join(allowed)}, got {path}", param_hint=option
            )
        if not path.parent.is_dir():
            raise click.BadParameter(f"the folder {path.parent} does not exist", param_hint=option)
    found = collect(sweep, store, verify=verify)
    if out.suffix == ".nc":
        with atomic_path(out) as temporary:
            found.to_xarray().to_netcdf(temporary)
    else:
        save_table(found.rows, out)
    if jobs is not None:
        save_table(found.jobs, jobs)
    click.echo(f"wrote {len(found.rows)} rows to {out}")
    _tell_what_lacks(found)


@sweep_command.command("plot")
@_takes_config
@_takes_store
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for figures and tables of statistics.",
)
@click.option(
    "--report",
    "with_pages",
    is_flag=True,
    help="Also write HTML pages to the subfolder pages: one for each network that passed its gate, "
    "and one for each task and construction, which links to them. Needs diagnose = true.",
)
def plot_command(sweep: Sweep, store: Path, out: Path, with_pages: bool) -> None:
    """Plot effects over seeds and widths, and n_R, spectra and sensitivities against width.

    Also writes tables of statistics: means with intervals, Holm-corrected tests of every effect
    and of every difference between two ablations, and slopes against width; each table for the
    changes and for the sensitivities. With diagnose = "cuts", also of the cut curves; with
    diagnose = true, of removable shares against width, shares of mass by kind, and predicted
    against exact effects, too.
    """
    from ..plotting.sweeps import save_sweep_figures

    if with_pages and sweep.diagnose is not True:
        raise click.UsageError("--report needs a sweep with diagnose = true")
    found = collect(sweep, store)
    if found.rows.empty:
        raise click.ClickException(f"{store} holds no finished job of this sweep yet")
    out.mkdir(parents=True, exist_ok=True)
    for name in save_sweep_figures(found.rows, spectra(found, Store(store)), out):
        click.echo(f"wrote {out / name}")
    for table in (summarize, effects, paired_differences, against_width):
        for quantity, ending in (("change", ""), ("sensitivity", "-sensitivity")):
            path = out / f"{table.__name__}{ending}.csv"
            save_table(table(found.rows, quantity), path)
            click.echo(f"wrote {path}")
    if sweep.diagnose:
        _plot_diagnoses(found, out, sweep.diagnose is True)
    if with_pages:
        (out / "pages").mkdir(exist_ok=True)
        pages = save_sweep_pages(found, out / "pages")
        for name in pages:
            click.echo(f"wrote {out / 'pages' / name} and the pages of its networks")
        if not pages:
            click.echo("no network passed its gate, so there are no pages")
    _tell_what_lacks(found)


def _plot_diagnoses(found: Collection, out: Path, whole: bool) -> None:
    from ..plotting.diagnoses import save_cut_figures, save_removable_figures

    curves = cut_curves(found)
    names = save_cut_figures(curves, out)
    tables = {
        "cut_curves": curves,
        "mean_cuts": summarize_cuts(curves),
        "mean_cuts-from_gap": summarize_cuts(curves, "from_gap"),
    }
    if whole:
        table = diagnoses(found)
        names += save_removable_figures(table, out)
        tables["diagnoses"] = table
        for summary in (
            mass_by_kind,
            prediction_agreement,
            removable_shares,
            removable_against_width,
        ):
            tables[summary.__name__] = summary(table)
    for name in names:
        click.echo(f"wrote {out / name}")
    for name, frame in tables.items():
        path = out / f"{name}.csv"
        save_table(frame, path)
        click.echo(f"wrote {path}")


def _tell_what_lacks(found: Collection) -> None:
    counts = found.counts()
    below = int((~found.jobs["passed"] & (found.jobs["state"] == "done")).sum())
    notes = [f"{counts[state]} {state}" for state in ("failed", "running", "missing")]
    click.echo(f"jobs: {counts['done']} done, {', '.join(notes)}; {below} below their gate")
