"""What commands have in common: tasks, random streams, and networks from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from ..importers import FORMATS, ImportedNetwork, import_network
from ..importers.parts import PARTS
from ..networks.cell import ACTIVATIONS, FORMS
from ..trials.tasks import Task, task_named

INTERRUPTED = 130  # 128 + SIGINT, as shells count

F = TypeVar("F", bound=Callable[..., Any])


def named_task(_ctx: click.Context, _param: click.Parameter, name: str | None) -> Task | None:
    """The task of that name with its default parameters; a usage error suggests the nearest."""
    try:
        return None if name is None else task_named(name)
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


def import_options(command: F) -> F:
    """The options of `load_network`, gathered by `imported`."""
    for option in (
        click.option("--dtype", type=click.Choice(("float32", "float64")), help="Of the network."),
        click.option("--noise", type=float, help="Standard deviation at each hidden unit."),
        click.option(
            "--output", type=click.Choice(ACTIVATIONS), help="Nonlinearity of the outputs."
        ),
        click.option("--form", type=click.Choice(FORMS), help="Of the network's equation."),
        click.option("--leak", type=float, help="a = dt / tau, in (0, 1]."),
        click.option("--activation", type=click.Choice(ACTIVATIONS), help="Of the hidden units."),
        click.option(
            "--key",
            "keys",
            multiple=True,
            metavar="PART=ENTRY",
            help="Where a part is, e.g. --key W_hh=cell.U, or =cell.U.T; may be repeated.",
        ),
        click.option(
            "--format", type=click.Choice(FORMATS), help="Of the network.  [default: found]"
        ),
    ):
        command = option(command)
    return command


def imported(path: Path, keys: tuple[str, ...], **options: Any) -> ImportedNetwork:
    """The network of a file or folder; usage errors for keys that are none."""
    named: dict[str, Any] = {}
    for given in keys:
        part, sign, entry = given.partition("=")
        if not sign or part not in PARTS:
            raise click.UsageError(
                f"--key takes PART=ENTRY with PART among {', '.join(PARTS)}, got {given!r}"
            )
        named[part] = entry
    return import_network(path, keys=named, **options)


def with_parameters(task: Task, parameters: tuple[str, ...]) -> Task:
    """The task with NAME=VALUE parameters set; usage errors name what it has."""
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
