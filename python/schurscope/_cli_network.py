"""The command line's way to a network: options that say what a file does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .cell import ACTIVATIONS, FORMS
from .importers import FORMATS, ImportedNetwork, import_network
from .importers.parts import PARTS

F = TypeVar("F", bound=Callable[..., Any])


def import_options(command: F) -> F:
    """The options of `load_network`, gathered by `imported`."""
    for option in (
        click.option("--form", type=click.Choice(FORMS), help="Of the network's equation."),
        click.option("--leak", type=float, help="a = dt / tau, in (0, 1]."),
        click.option("--activation", type=click.Choice(ACTIVATIONS), help="Of the hidden units."),
        click.option(
            "--key",
            "keys",
            multiple=True,
            metavar="PART=ENTRY",
            help="Where a part is, e.g. --key W_hh=cell.U; may be repeated.",
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
