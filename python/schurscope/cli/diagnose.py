"""``schurscope diagnose``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..diagnosis.diagnose import diagnose
from ..reporting.diagnosis import print_diagnosis, save_diagnosis, shown_progress
from .question import asked, question_options


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
    help="Folder for the page, its tables and the diagnosis itself.",
)
def diagnose_command(
    network: Path,
    tolerance: float,
    draws: int,
    repeats: int,
    out: Path | None,
    **options: Any,
) -> None:
    """Find out what a trained NETWORK needs, and why.

    Prints a page: a verdict on each coupling, how much can go at once, whether that beats chance,
    and why the rest is harmless. NETWORK and the trials are given as for ablate. --out writes
    page.png, couplings.csv, pairs.csv, cuts.csv, settings.json, and diagnosis.npz for
    schurscope.Diagnosis.load.

    \b
    Examples:
      schurscope diagnose flipflop.npz --task flip-flop
      schurscope diagnose model.pt --activation relu --trials trials.npz --out diagnosis
    """  # noqa: D301 - click reads the backspace
    question = asked(network, **options)
    if out is not None:
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
    print_diagnosis(diagnosis)
    if out is not None:
        save_diagnosis(out, diagnosis, question.settings)
        click.echo(f"wrote page.png, tables, settings.json and diagnosis.npz to {out}")
