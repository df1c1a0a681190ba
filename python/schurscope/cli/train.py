"""``schurscope train``: train a network on one of the package's tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from .. import __version__
from .._internal.json import write_json
from .._internal.streams import streams
from ..networks.cell import (
    ACTIVATIONS,
    FORMS,
    KINDS,
    READOUTS,
    RESETS,
    Activation,
    Cell,
    Form,
    Kind,
    Readout,
    Reset,
)
from ..networks.constructions import RECURRENT, init_network
from ..training import OPTIMIZERS, TrainingOptions, train
from ..trials.tasks import Task
from .options import named_task, task_parameters, with_parameters

DEFAULT = TrainingOptions()


@click.command("train")
@click.argument("task", callback=named_task)
@task_parameters
@click.option("--hidden", default=64, show_default=True, help="Number of hidden units.")
@click.option(
    "--recurrent",
    type=click.Choice(RECURRENT),
    default="orthogonal",
    show_default=True,
    help="Construction of W_hh.",
)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="vanilla",
    show_default=True,
    help="Kind of the cell; gru and lstm have no --activation, --form, --leak and --readout.",
)
@click.option(
    "--reset",
    type=click.Choice(RESETS),
    help="Whether the reset of the gru comes after the recurrent product.  [default: after]",
)
@click.option(
    "--activation",
    type=click.Choice(ACTIVATIONS),
    default="tanh",
    show_default=True,
    help="Activation of the hidden units.",
)
@click.option(
    "--form",
    type=click.Choice(FORMS),
    default="rate",
    show_default=True,
    help="Whether the state is the rate or the current (the activation's argument).",
)
@click.option("--leak", default=1.0, show_default=True, help="Leak a = dt / tau, in (0, 1].")
@click.option(
    "--noise", default=0.0, show_default=True, help="Standard deviation of each unit's noise."
)
@click.option(
    "--readout",
    type=click.Choice(READOUTS),
    default="rates",
    show_default=True,
    help="Whether the readout of the current form reads the rates or the hidden state.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of initialisation and trials.",
)
@click.option("--epochs", default=DEFAULT.epochs, show_default=True, help="Number of epochs.")
@click.option(
    "--batches-per-epoch",
    default=DEFAULT.batches_per_epoch,
    show_default=True,
    help="Optimiser steps per epoch.",
)
@click.option(
    "--batch-size", default=DEFAULT.batch_size, show_default=True, help="Fresh trials per step."
)
@click.option(
    "--learning-rate", default=DEFAULT.learning_rate, show_default=True, help="Step size."
)
@click.option(
    "--final-learning-rate",
    type=float,
    help="Step size of the last epoch, approached geometrically.  [default: constant]",
)
@click.option(
    "--optimizer",
    type=click.Choice(OPTIMIZERS),
    default=DEFAULT.optimizer,
    show_default=True,
    help="Optimiser; adamw decouples weight decay.",
)
@click.option(
    "--weight-decay", default=DEFAULT.weight_decay, show_default=True, help="On every parameter."
)
@click.option("--clip", type=float, help="Maximum norm of the gradient.  [default: no clipping]")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    show_default=True,
    help="Dtype of the network and its arithmetic.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Output file.  [default: TASK.npz]",
)
def train_command(
    task: Task,
    parameters: tuple[str, ...],
    hidden: int,
    recurrent: str,
    kind: Kind,
    reset: Reset | None,
    activation: Activation,
    form: Form,
    leak: float,
    noise: float,
    readout: Readout,
    seed: int,
    dtype: str,
    out: Path | None,
    **options: Any,
) -> None:
    """Train a network on TASK: copy, flip-flop, sine or context-integration.

    Writes the network and, beside it, a .json file with the settings and the loss of every step.

    \b
    Example:
      schurscope train copy --hidden 72 --set horizon=16 --epochs 200 --out copy.npz
    """  # noqa: D301 - click reads the backspace
    task = with_parameters(task, parameters)
    out = out or Path(f"{task.name}.npz")
    if out.suffix != ".npz":
        raise click.BadParameter(f"must end in .npz, got {out}", param_hint="--out")
    if not out.parent.is_dir():
        raise click.BadParameter(f"the folder {out.parent} does not exist", param_hint="--out")
    total = TrainingOptions(**options).n_updates
    generators = streams(np.random.SeedSequence(seed))
    cell = Cell(activation, form, leak, noise=noise, readout=readout, kind=kind, reset=reset)
    network = init_network(task, hidden, recurrent, generators["init"], dtype=dtype, cell=cell)
    with Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        bar = progress.add_task("", total=total, loss="")
        result = train(
            network,
            task,
            rng=generators["training"],
            progress=lambda done, _total, loss: progress.update(
                bar, completed=done, loss=f"loss {loss:.2e}"
            ),
            **options,
        )
    result.network.save(out)
    settings = {
        "version": __version__,
        "seed": seed,
        "N_h": hidden,
        "recurrent": recurrent,
        **result.settings,
    }
    write_json(out.with_suffix(".json"), {**settings, "loss": result.loss})
    click.echo(
        f"loss {result.loss[-1]:.3g} after {result.loss.size} steps, "
        f"{result.settings['seconds']:.1f} s; wrote {out} and {out.with_suffix('.json')}"
    )
