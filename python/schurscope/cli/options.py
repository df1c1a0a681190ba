"""Shared by the commands: tasks, random streams, and import of networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from ..coordinates.orders import Order, order_named
from ..importers import FORMATS, ImportedNetwork, import_network
from ..importers.expressions import SIZES
from ..importers.formats.tensorflow import index_of
from ..importers.parts import PARTS
from ..networks.cell import ACTIVATIONS, FORMS, READOUTS, RESETS
from ..sweep.executors.dask import dask_executor
from ..trials.tasks import Task, task_named

INTERRUPTED = 130  # 128 + SIGINT, as shells count

F = TypeVar("F", bound=Callable[..., Any])


def named_task(_ctx: click.Context, _param: click.Parameter, name: str | None) -> Task | None:
    """The task of that name with its default parameters; a usage error suggests the nearest."""
    try:
        return None if name is None else task_named(name)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def named_order(_ctx: click.Context, _param: click.Parameter, name: str) -> Order:
    """The order of that name, also with hyphens."""
    try:
        return order_named(name.replace("-", "_"))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def task_parameters(command: F) -> F:
    """The option ``--set NAME=VALUE``, for `with_parameters`."""
    return click.option(
        "--set",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        help="A parameter of the task, e.g. --set horizon=32; may be repeated.",
    )(command)


class NetworkPath(click.Path):
    """A file or folder; of a TensorFlow checkpoint, NAME means NAME.index."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, if it exists."""
        return super().convert(str(index_of(Path(value))), param, ctx)


def import_options(command: F) -> F:
    """The options of `load_network`, gathered by `imported`."""
    for option in (
        click.option(
            "--dtype", type=click.Choice(("float32", "float64")), help="Dtype of the network."
        ),
        click.option("--noise", type=float, help="Standard deviation of each unit's noise."),
        click.option(
            "--output", type=click.Choice(ACTIVATIONS), help="Nonlinearity of the outputs."
        ),
        click.option(
            "--readout",
            type=click.Choice(READOUTS),
            help="What the current form's readout reads.",
        ),
        click.option(
            "--reset",
            type=click.Choice(RESETS),
            help="Reset of a GRU: after or before the product.",
        ),
        click.option("--form", type=click.Choice(FORMS), help="Form of the equation."),
        click.option("--leak", type=float, help="Leak a = dt / tau, in (0, 1]."),
        click.option(
            "--activation", type=click.Choice(ACTIVATIONS), help="Activation of the hidden units."
        ),
        click.option(
            "--key",
            "keys",
            multiple=True,
            metavar="PART=ENTRY",
            help="Entry of a part, or arithmetic with entries, e.g. --key W_hh=cell.U or "
            "--key 'W_hh=m @ n.T / n_h'; may be repeated.",
        ),
        click.option("--layer", help="Which of several recurrent layers or directions."),
        click.option(
            "--trusted", is_flag=True, help="Read HDF5 without limits on time and memory."
        ),
        click.option(
            "--format", type=click.Choice(FORMATS), help="Format of NETWORK.  [default: detected]"
        ),
    ):
        command = option(command)
    return command


def imported(path: Path, keys: tuple[str, ...], **options: Any) -> ImportedNetwork:
    """The network of a file or folder; a usage error for an invalid key."""
    named: dict[str, Any] = {}
    for given in keys:
        part, sign, entry = given.partition("=")
        if not sign or part not in (*PARTS, *SIZES):
            raise click.UsageError(
                f"--key takes PART=ENTRY with PART among {', '.join((*PARTS, *SIZES))}, got "
                f"{given!r}"
            )
        named[part] = int(entry) if part in SIZES and entry.isdecimal() else entry
    found = import_network(path, keys=named, **options)
    names = {"keys": "--key", **{name: f"--{name}" for name in options}}
    return replace(found, notes=tuple(as_options(note, names) for note in found.notes))


_QUOTED = r"""(?:'[^']*'|"[^"]*"|[^\s()'"])"""


def as_options(message: str, options: Mapping[str, str]) -> str:
    """A message with options in place of arguments: ``--leak 0.2`` of ``leak=0.2``.

    `options` maps arguments to options. An argument that must be something is ``--leak``, too.
    """
    if "keys" in options:
        pairs = rf"((?:--key {_QUOTED}+ ?)+)"
        message = re.sub(rf"keys=\{{.*?\}} \(on the command line {pairs}\)", r"\1", message)
    # What is shown as Python has it, such as Cell(kind='gru', …), is at the odd places.
    parts = re.split(r"(\b[A-Z]\w*\([^()]*\))", message)
    return "".join(
        part if place % 2 else _outside(part, options) for place, part in enumerate(parts)
    )


def _outside(message: str, options: Mapping[str, str]) -> str:
    for name, option in options.items():
        message = re.sub(rf"(^|: ){name} must ", rf"\1{option} must ", message)
        message = re.sub(rf"(?<![\w.]){name}=(?=[,; ]|$)", option, message)
        message = re.sub(rf"(?<![\w.]){name}='?([\w.+/-]*\w)'?", rf"{option} \1", message)
    return message


def with_parameters(task: Task, parameters: tuple[str, ...]) -> Task:
    """The task with NAME=VALUE parameters set; usage errors list the valid names."""
    if not is_dataclass(task) or isinstance(task, type):
        raise TypeError(f"{type(task).__name__} has no parameters to set")
    known = {item.name: getattr(task, item.name) for item in fields(task)}
    changes: dict[str, int | float] = {}
    for given in parameters:
        name, sign, text = given.partition("=")
        if not sign or name not in known:
            raise click.UsageError(
                f"--set takes NAME=VALUE with NAME among {', '.join(known)}, got {given!r}"
            )
        kind = type(known[name])
        try:
            changes[name] = kind(text)
        except ValueError:
            raise click.UsageError(
                f"--set {name} must be {'an integer' if kind is int else 'a number'}, got {text!r}"
            ) from None
    return replace(task, **changes)


def place_options(command: F) -> F:
    """The options for the jobs, place and duration of a run, gathered by `placed`."""
    for option in (
        click.option(
            "--stop-after", callback=_seconds, metavar="TIME", help="Start no job later, e.g. 50m."
        ),
        click.option(
            "--dask", metavar="ADDRESS", help="Dask scheduler, or 'local' for a cluster here."
        ),
        click.option("--shard", callback=_shard, metavar="I/N", help="Run shard I (from 0) of N."),
    ):
        command = option(command)
    return command


@contextmanager
def placed(
    workers: int, *, shard: tuple[int, int] | None, dask: str | None, stop_after: float | None
) -> Iterator[dict[str, Any]]:
    """The arguments of `schurscope.sweep.run` for the `place_options`."""
    given = {"n_workers": workers, "part": shard, "stop_after": stop_after}
    if dask is None:
        yield given
    else:
        with dask_executor(dask, workers) as executor:
            yield {**given, "executor": executor, "capacity": executor.capacity}


def _shard(
    _ctx: click.Context, _param: click.Parameter, text: str | None
) -> tuple[int, int] | None:
    """``"3/100"`` as (3, 100)."""
    if text is None:
        return None
    index, sign, count = text.partition("/")
    if not (sign and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise click.BadParameter(f"must be INDEX/COUNT with 0 <= INDEX < COUNT, got {text!r}")
    return int(index), int(count)


def _seconds(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """``"90s"``, ``"50m"`` or ``"2h"`` in seconds."""
    if text is None:
        return None
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    try:
        seconds = float(text[:-1]) * units[text[-1:]]
    except (KeyError, ValueError):
        raise click.BadParameter(f"must be a time such as 90s, 50m or 2h, got {text!r}") from None
    if not seconds > 0:
        raise click.BadParameter(f"must be positive, got {text!r}")
    return seconds
