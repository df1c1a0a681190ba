"""``schurscope ablate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from .._internal.streams import streams
from ..ablation.measures import MEASURES
from ..ablation.run import ablate
from ..coordinates.schur import ORDERS, Order
from ..networks.network import Network
from ..report.profile import print_profile, save_profile
from ..trials.tasks import Task
from ..trials.trials import Trials
from .options import (
    NetworkPath,
    import_options,
    imported,
    named_order,
    named_task,
    task_parameters,
    with_parameters,
)


@click.command("ablate")
@click.argument("network", type=NetworkPath(path_type=Path, exists=True))
@click.option("--task", callback=named_task, help="Task to draw fresh trials from.")
@task_parameters
@click.option(
    "--n-trials", type=click.IntRange(1), help="Number of trials of the task.  [default: 2048]"
)
@click.option(
    "--trials",
    "trials_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Instead of a task: an .npz of inputs, targets (or x, y), optionally weights, h_0.",
)
@click.option(
    "--axes",
    metavar="ORDER",
    help="Axes of --trials: B trials, T steps, F channels; PyTorch's is TBF.  [default: BTF]",
)
@import_options
@click.option(
    "--order",
    callback=named_order,
    default="modulus",
    show_default=True,
    metavar=f"[{'|'.join(ORDERS)}]",
    help="Sort key of the Schur blocks.",
)
@click.option(
    "--alpha",
    default=0.9,
    show_default=True,
    help="Cut of the spectrum, as a fraction of the order's largest key: rho, by modulus.",
)
@click.option(
    "--measure",
    type=click.Choice(list(MEASURES)),
    help="Measure of the outputs.  [default: the task's own, or fvu]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the trials and the bootstrap.",
)
@click.option(
    "--ablation",
    "ablations",
    multiple=True,
    metavar="NAME",
    help="E.g. CR or RR+CC; may be repeated.  [default: every subset]",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for CSV and figures."
)
@click.option("--strict", is_flag=True, help="Fail if rounding of the weights decides the cut.")
@click.option("--threads", type=click.IntRange(1), help="Number of threads.  [default: processors]")
def ablate_command(
    network: Path,
    task: Task | None,
    parameters: tuple[str, ...],
    n_trials: int | None,
    trials_file: Path | None,
    axes: str | None,
    order: Order,
    alpha: float,
    measure: str | None,
    seed: int,
    ablations: tuple[str, ...],
    out: Path | None,
    strict: bool,
    threads: int | None,
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
      schurscope ablate model.pt --activation relu --trials trials.npz --out report
    """  # noqa: D301 - click reads the backspace
    if (task is None) == (trials_file is None):
        raise click.UsageError("give either --task NAME or --trials FILE")
    if trials_file is not None and (n_trials is not None or parameters):
        raise click.UsageError("--n-trials and --set belong to --task, not to --trials FILE")
    if task is not None and axes is not None:
        raise click.UsageError("--axes belongs to --trials FILE, not to --task")
    origin = imported(network, **options)
    for note in origin.notes:
        click.echo(f"note: {note}", err=True)
    loaded, generators = origin.network, streams(np.random.SeedSequence(seed))
    if task is not None:
        task = with_parameters(task, parameters)
        _require_fit(network, loaded, task)
        trials = task.trials(n_trials or 2048, generators["evaluation"], dtype=loaded.dtype)
    else:
        assert trials_file is not None
        trials = Trials.load(trials_file, axes=axes or "BTF")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    profile = ablate(
        loaded,
        trials,
        alpha=alpha,
        ablations=ablations or None,
        measure=measure or str(getattr(task, "measure", "fvu")),
        n_threads=threads or 0,
        order=order,
        strict=strict,
        rng=generators["noise"] if loaded.cell.noise else None,
    )
    intervals = profile.interval(rng=generators["bootstrap"])
    print_profile(profile, intervals)
    if out is not None:
        settings = {
            "network": str(network),
            "imported": {"format": origin.format, "mapped": origin.mapped, "notes": origin.notes},
            "task": repr(task) if task is not None else None,
            "trials": str(trials_file) if trials_file is not None else None,
            "seed": seed,
            **profile.settings,
        }
        save_profile(out, profile, intervals, settings, (loaded, trials))
        click.echo(f"wrote profile.csv, settings.json and figures to {out}")


def _require_fit(path: Path, network: Network, task: Task) -> None:
    if (task.n_inputs, task.n_outputs) != (network.n_inputs, network.n_outputs):
        raise click.UsageError(
            f"{path} has {network.n_inputs} inputs and {network.n_outputs} outputs, but "
            f"{task!r} has {task.n_inputs} and {task.n_outputs}"
        )
