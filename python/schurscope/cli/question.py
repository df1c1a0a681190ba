"""Shared by ``ablate`` and ``diagnose``: the network, its trials, the cut and the measure."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from .._internal.checks import choice
from .._internal.streams import streams
from ..ablation.measures import MEASURES
from ..coordinates.orders import ORDERS
from ..networks.network import Network
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

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Asked:
    """What the options say.

    Attributes
    ----------
    network : Network
    trials : Trials
    arguments : dict
        alpha, measure, order and n_threads, as `schurscope.ablate` takes them.
    generators : dict of numpy.random.Generator
    settings : dict
        For settings.json.
    """

    network: Network
    trials: Trials
    arguments: dict[str, Any]
    generators: dict[str, np.random.Generator]
    settings: dict[str, Any]

    @property
    def facts(self) -> dict[str, object]:
        """What a page says of the network and its trials."""
        kept = {name: self.settings[name] for name in ("network", "task", "trials", "seed")}
        kept["format"] = self.settings["imported"]["format"]
        return {name: value for name, value in kept.items() if value is not None}

    @property
    def files(self) -> list[str]:
        """The network's file or folder, and that of the trials."""
        return [str(path) for path in (self.settings["network"], self.settings["trials"]) if path]


def question_options(command: F) -> F:
    """The argument NETWORK and the options that `asked` gathers."""
    for option in reversed(
        (
            click.argument("network", type=NetworkPath(path_type=Path, exists=True)),
            click.option("--task", callback=named_task, help="Task to draw fresh trials from."),
            task_parameters,
            click.option(
                "--n-trials",
                type=click.IntRange(1),
                help="Number of trials of the task.  [default: 2048]",
            ),
            click.option(
                "--trials",
                "trials_file",
                type=click.Path(path_type=Path, exists=True, dir_okay=False),
                help="Instead of a task: an .npz of inputs, targets (or x, y), optionally weights, "
                "h_0 and c_0.",
            ),
            click.option(
                "--axes",
                metavar="ORDER",
                help="Axes of --trials: B trials, T steps, F channels; PyTorch's is TBF.  "
                "[default: BTF]",
            ),
            import_options,
            click.option(
                "--order",
                callback=named_order,
                default="modulus",
                show_default=True,
                metavar=f"[{'|'.join(ORDERS)}]",
                help="Sort key of the Schur blocks.",
            ),
            click.option(
                "--alpha",
                default=0.9,
                show_default=True,
                help="Cut of the spectrum, as a fraction of the order's largest key: rho, by "
                "modulus.",
            ),
            click.option(
                "--measure",
                type=click.Choice(list(MEASURES)),
                help="Measure of the outputs.  [default: the task's own, or fvu]",
            ),
            click.option(
                "--seed",
                type=click.IntRange(0),
                default=0,
                show_default=True,
                help="Seed of the trials and of everything else that is drawn.",
            ),
            click.option(
                "--threads",
                type=click.IntRange(1),
                help="Number of threads.  [default: processors]",
            ),
        )
    ):
        command = option(command)
    return command


def asked(
    network: Path,
    *,
    task: Task | None,
    parameters: tuple[str, ...],
    n_trials: int | None,
    trials_file: Path | None,
    axes: str | None,
    order: str,
    alpha: float,
    measure: str | None,
    seed: int,
    threads: int | None,
    **options: Any,
) -> Asked:
    """The network, its trials and the arguments; notes go to standard error."""
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
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            trials = Trials.load(trials_file, axes=axes or "BTF")
        for concern in told:
            click.echo(f"note: {concern.message}", err=True)
    return Asked(
        loaded,
        trials,
        {
            "alpha": alpha,
            "measure": measure or str(getattr(task, "measure", "fvu")),
            "order": order,
            "n_threads": threads or 0,
        },
        generators,
        {
            "network": str(network),
            "imported": {"format": origin.format, "mapped": origin.mapped, "notes": origin.notes},
            "task": repr(task) if task is not None else None,
            "trials": str(trials_file) if trials_file is not None else None,
            "seed": seed,
        },
    )


def require_gates(network: Network, gates: tuple[str, ...]) -> None:
    """Refuse a --gate that the network does not have."""
    if gates and not network.cell.gates:
        raise click.UsageError("--gate belongs to gated networks, and this one has no gates")
    for place, gate in enumerate(gates):
        choice(gate, "--gate", network.cell.gates)
        if gate in gates[:place]:
            raise click.UsageError(f"--gate must name each gate once, got {gate} twice")


def _require_fit(path: Path, network: Network, task: Task) -> None:
    if (task.n_inputs, task.n_outputs) != (network.n_inputs, network.n_outputs):
        raise click.UsageError(
            f"{path} has {network.n_inputs} inputs and {network.n_outputs} outputs, but "
            f"{task!r} has {task.n_inputs} and {task.n_outputs}"
        )
