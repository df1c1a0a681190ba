"""``schurscope diagnose``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..diagnosis.diagnose import diagnose
from ..reporting.diagnosis import print_diagnosis, save_diagnosis, shown_progress
from ..reporting.render import environment
from .question import asked, question_options, require_gates


@click.command("diagnose")
@question_options
@click.option(
    "--tolerance",
    default=0.01,
    show_default=True,
    help="Loss that does not matter, in the measure's unit.",
)
@click.option(
    "--draws",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Random ablations of each null.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Repeats of the search for removable sets, on resampled trials.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the figure, the tables and the diagnosis itself.",
)
@click.option(
    "--report",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    help="HTML file with everything, to look at and to send: needs nothing but a browser.",
)
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="NAME",
    help="Also print the verdicts on this gate of a gated network; may be repeated.",
)
def diagnose_command(
    network: Path,
    tolerance: float,
    draws: int,
    repeats: int,
    gates: tuple[str, ...],
    out: Path | None,
    page: Path | None,
    **options: Any,
) -> None:
    """Find out what a trained NETWORK needs, and why.

    Prints a page: a verdict on each coupling, how much can go at once, whether that beats chance,
    and why the rest is harmless. NETWORK and the trials are given as for ablate. --out writes
    page.png, couplings.csv, pairs.csv, cuts.csv, settings.json, and diagnosis.npz for
    schurscope.Diagnosis.load. --report writes one HTML file, with or without --out.

    \b
    Examples:
      schurscope diagnose flipflop.npz --task flip-flop
      schurscope diagnose model.pt --activation relu --trials trials.npz --report network.html
    """  # noqa: D301 - click reads the backspace
    if page is not None and page.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(f"must end in .html, got {page}", param_hint="--report")
    question = asked(network, **options)
    require_gates(question.network, gates)
    if page is not None:
        environment()  # fails before the work, not after it
        page.parent.mkdir(parents=True, exist_ok=True)
    if out is not None:
        from .. import plotting  # noqa: F401 - fails before the work, not after it

        out.mkdir(parents=True, exist_ok=True)
    with shown_progress() as progress:
        diagnosis = diagnose(
            question.network,
            question.trials,
            tolerance=tolerance,
            draws=draws,
            repeats=repeats,
            rng=question.generators["bootstrap"],
            progress=progress,
            **question.arguments,
        )
    print_diagnosis(diagnosis, gates)
    if out is not None:
        save_diagnosis(out, diagnosis, question.settings)
        click.echo(f"wrote page.png, tables, settings.json and diagnosis.npz to {out}")
    if page is not None:
        diagnosis.report(page, title=network.name, facts=question.facts, files=question.files)
        click.echo(f"wrote {page}")
