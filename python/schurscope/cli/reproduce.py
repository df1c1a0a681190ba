"""``schurscope reproduce``: the paper's networks, tables and figures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import INTERRUPTED, place_options, placed


@click.command("reproduce")
@click.argument("groups", nargs=-1, type=click.Choice(["copy", "neuroscience"]))
@click.option(
    "--seeds", type=click.IntRange(1), help="Networks per experiment.  [default: 6; with --quick 2]"
)
@click.option("--quick", "is_quick", is_flag=True, help="Small and brief: a check, not a result.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Output folder.  [default: schurscope-results, or schurscope-results-quick]",
)
@click.option(
    "--jobs",
    "workers",
    type=click.IntRange(1),
    help="Single-threaded worker processes.  [default: processors]",
)
@click.option(
    "--diagnose",
    "with_diagnoses",
    is_flag=True,
    help="Also diagnose every network, and print which of the paper's claims survive.",
)
@click.option(
    "--report",
    "with_pages",
    is_flag=True,
    help="With --diagnose: also an HTML page for each network, and one for each task.",
)
@place_options
def reproduce_command(
    groups: tuple[str, ...],
    seeds: int | None,
    is_quick: bool,
    out: Path | None,
    workers: int | None,
    with_diagnoses: bool,
    with_pages: bool,
    **place: Any,
) -> None:
    """Reproduce the paper's networks and compare with its numbers.

    GROUPS are "copy" (Table 1, Figure 1) and "neuroscience" (Figure 2); default: both. Figures,
    tables, networks and report.json go to the output folder. Another run with the same folder
    reuses every finished network. Many processes can share the work, with --shard or --dask; the
    one that finds all networks finished writes the tables.

    --diagnose, also on a finished folder, adds a page for each network in its subfolder diagnosis,
    and tables over networks: predicted against exact effects, how much can go at once, verdicts on
    each coupling, and whether each of the paper's claims survives a null and the choice of alpha.
    With --report, diagnosis also holds an HTML page for each task, which compares its networks and
    links to the page.html in the folder of each.
    """
    if with_pages and not with_diagnoses:
        raise click.UsageError("--report needs --diagnose")
    from ..reproduce import GROUPS
    from ..reproduce import reproduce as run

    out = out or Path("schurscope-results-quick" if is_quick else "schurscope-results")
    try:
        with placed(workers or 0, **place) as where:
            done = run(
                groups or GROUPS,
                out=out,
                seeds=seeds or 0,
                is_quick=is_quick,
                with_diagnoses=with_diagnoses,
                with_pages=with_pages,
                **where,
            )
    except KeyboardInterrupt:
        click.echo(
            f"interrupted: finished networks are kept in {out}; run the same command to resume",
            err=True,
        )
        sys.exit(INTERRUPTED)
    if done.failures:
        raise click.ClickException(f"failed: {', '.join(done.failures)}")
