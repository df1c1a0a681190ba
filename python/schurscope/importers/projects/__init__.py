"""Networks of the field's toolboxes, whose parts are computed from the entries of their files.

Each file here writes one project's equation in its first line, recognises its entries and fills
the parts. A new one is one file and one line of `PROJECTS`.
"""

from __future__ import annotations

from collections.abc import Callable

from ..parts import Parts
from .lowrank import is_lowrank, put_lowrank
from .multitask import is_multitask, put_multitask
from .neuralrnn import is_neuralrnn, put_neuralrnn
from .nn4n import is_nn4n, put_nn4n
from .nnrnn import is_nnrnn, put_nnrnn
from .pycog import is_pycog, put_pycog
from .smc_rnns import is_smc_rnns, put_smc_rnns
from .spikernn import is_spikernn, put_spikernn
from .trainrnnbrain import is_trainrnnbrain, put_trainrnnbrain
from .vi_rnn import is_vi_rnn, put_vi_rnn

__all__ = ["PROJECTS", "put_project"]

PROJECTS: dict[str, tuple[Callable[[Parts], str | None], Callable[[Parts, str], None]]] = {
    "neuralrnn": (is_neuralrnn, put_neuralrnn),
    "lowrank": (is_lowrank, put_lowrank),
    "nnrnn": (is_nnrnn, put_nnrnn),
    "multitask": (is_multitask, put_multitask),
    "trainrnnbrain": (is_trainrnnbrain, put_trainrnnbrain),
    "smc_rnns": (is_smc_rnns, put_smc_rnns),
    "vi_rnn": (is_vi_rnn, put_vi_rnn),
    "spikernn": (is_spikernn, put_spikernn),
    "pycog": (is_pycog, put_pycog),
    "nn4n": (is_nn4n, put_nn4n),
}
"""Format → whether it is one, with the prefix of its entries; and the filling of the parts."""


def put_project(parts: Parts, format: str | None) -> str | None:
    """Fill the parts if the checkpoint is of one of the projects; return its name."""
    for name, (recognise, put) in PROJECTS.items():
        if format not in (None, name):
            continue
        prefix = recognise(parts)
        if prefix is not None:
            try:
                put(parts, prefix)
            except (ValueError, TypeError, IndexError, ZeroDivisionError) as error:
                if str(error).startswith(parts.checkpoint.origin):
                    raise
                parts.fail(f"has entries of the format {name!r} that do not fit: {error}")
            return name
        if format == name:
            parts.fail(f"is not in the format {name!r}")
    return None
