"""``schurscope reproduce``: the paper's networks, tables and figures."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .options import INTERRUPTED


@click.command("reproduce")
@click.argument("groups", nargs=-1, type=click.Choice(["copy", "neuroscience"]))
@click.option(
    "--seeds", type=click.IntRange(1), help="Networks per experiment.  [default: 6; with --quick 2]"
)
@click.option("--quick", "is_quick", is_flag=True, help="Everything small: a check, not a result.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Output folder.  [default: schurscope-results, or schurscope-results-quick]",
)
@click.option(
    "--jobs", "n_jobs", type=click.IntRange(1), help="Trainings at a time.  [default: processors]"
)
@click.option(
    "--threads",
    "n_threads",
    type=click.IntRange(1),
    help="Threads of each ablation sweep.  [default: processors / jobs]",
)
def reproduce_command(
    groups: tuple[str, ...],
    seeds: int | None,
    is_quick: bool,
    out: Path | None,
    n_jobs: int | None,
    n_threads: int | None,
) -> None:
    """Train and analyse what the paper reports, beside its numbers.

    GROUPS are "copy" (Table 1, Figure 1) and "neuroscience" (Figure 2); both when none is given.
    The output folder gets figures, tables, networks and report.json. Running again with the same
    folder reuses every finished network.
    """
    from ..reproduce import GROUPS
    from ..reproduce import reproduce as run

    out = out or Path("schurscope-results-quick" if is_quick else "schurscope-results")
    try:
        outcome, _ = run(
            groups or GROUPS,
            out=out,
            seeds=seeds or 0,
            is_quick=is_quick,
            n_jobs=n_jobs or 0,
            n_threads=n_threads or 0,
        )
    except KeyboardInterrupt:
        click.echo(
            f"interrupted: finished networks are kept in {out}; the same command continues",
            err=True,
        )
        sys.exit(INTERRUPTED)
    if outcome.failures:
        raise click.ClickException(f"failed: {', '.join(outcome.failures)}")
