"""``schurscope info``: this installation, or the content of a network file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import scipy
from rich.console import Console
from rich.table import Table

from .. import __version__, _core
from ..coordinates.schur import ordered_schur
from ..importers import contents
from .options import NetworkPath, import_options, imported


@click.command("info")
@click.argument("network", required=False, type=NetworkPath(path_type=Path, exists=True))
@import_options
def info_command(network: Path | None, **options: Any) -> None:
    """Show versions, instruction-set levels and threads; or the content of a NETWORK.

    List every entry with its dtype and shape, also if the file holds no network; then, for a
    network trained elsewhere, the source of each part, the ignored entries and the assumptions; and
    the gates of a gated network.
    """
    if network is not None:
        entries = contents(network, trusted=bool(options["trusted"]))
        click.echo(f"{network} holds {len(entries)} entries")
        width = min(60, max(map(len, entries), default=0))
        for name, what in entries.items():
            click.echo(f"  {name:{width}}  {what}")
        origin = imported(network, **options)
        click.echo(origin)
        for gate in origin.network.gates:
            schur = ordered_schur(origin.network, gate=gate)
            click.echo(
                f"  gate {gate}: W_hh ({schur.n_hidden}, {schur.n_hidden}), spectral radius of the "
                f"gate, not the network, {schur.rho:.4g}"
            )
        return
    build = _core.build_info()
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("schurscope", __version__),
        ("python", sys.version.split()[0]),
        ("numpy, scipy", f"{np.__version__}, {scipy.__version__}"),
        ("level", f"{_core.LEVEL} ({build['vector_bits']}-bit vectors)"),
        ("levels built", ", ".join(_core.BUILT_LEVELS)),
        ("levels this machine runs", ", ".join(_core.RUNNABLE_LEVELS)),
        ("compiler", build["compiler"]),
        ("eigen", build["eigen"]),
        ("threads", str(_core.resolve_threads(0))),
        ("SCHURSCOPE_SIMD", os.environ.get("SCHURSCOPE_SIMD", "not set")),
        ("SCHURSCOPE_NUM_THREADS", os.environ.get("SCHURSCOPE_NUM_THREADS", "not set")),
    ):
        table.add_row(name, value)
    Console().print(table, highlight=False)
