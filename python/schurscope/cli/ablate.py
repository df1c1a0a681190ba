"""``schurscope ablate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..ablation.names import SUBSETS, alone
from ..ablation.run import ablate
from ..reporting.profile import print_profile, save_profile
from .question import asked, question_options, require_gates


@click.command("ablate")
@question_options
@click.option(
    "--ablation",
    "ablations",
    multiple=True,
    metavar="NAME",
    help="E.g. CR or RR+CC, of a gated network also n:CR or r:CR,z:CR; may be repeated.  [default: "
    "every subset of RR, CR and CC, and BB; then of each gate RR, CR, CC, RR+CR+CC and BB]",
)
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="NAME",
    help="Ablate this gate alone; may be repeated.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for CSV and figures."
)
@click.option("--strict", is_flag=True, help="Fail if rounding of the weights decides the cut.")
def ablate_command(
    network: Path,
    ablations: tuple[str, ...],
    gates: tuple[str, ...],
    out: Path | None,
    strict: bool,
    **options: Any,
) -> None:
    """Ablate the Schur couplings of a trained NETWORK and show the effect.

    NETWORK is a file of this package, PyTorch (.pt), safetensors, NumPy (.npz), Keras, TensorFlow
    (.index), MATLAB, MessagePack or JSON, or a neuralrnn folder. The trials are drawn from a task
    or read from a file. Intervals are 95 % bootstrap intervals over trials. --out writes
    profile.csv, settings.json and figures.

    \b
    Examples:
      schurscope ablate flipflop.npz --task flip-flop --ablation CR --ablation CC
      schurscope ablate gru.npz --task flip-flop --gate n
      schurscope ablate model.pt --activation relu --trials trials.npz --out report
    """  # noqa: D301 - click reads the backspace
    question = asked(network, **options)
    require_gates(question.network, gates)
    if gates:
        if named := [name for name in ablations if ":" in name]:
            raise click.UsageError(
                f"--ablation must name only couplings beside --gate, got {named[0]}; leave one out"
            )
        ablations = alone(ablations or SUBSETS[1:], gates)
    if out is not None:
        from .. import plotting  # noqa: F401 - fails before the work, not after it

        out.mkdir(parents=True, exist_ok=True)
    profile = ablate(
        question.network,
        question.trials,
        ablations=ablations or None,
        strict=strict,
        rng=question.generators["noise"] if question.network.cell.noise else None,
        **question.arguments,
    )
    intervals = profile.interval(rng=question.generators["bootstrap"])
    print_profile(profile, intervals)
    if out is not None:
        settings = {**question.settings, **profile.settings}
        save_profile(out, profile, intervals, settings, (question.network, question.trials))
        click.echo(f"wrote profile.csv, settings.json and figures to {out}")
