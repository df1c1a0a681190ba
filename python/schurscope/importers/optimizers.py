"""Entries of a checkpoint that belong to an optimiser, not to the network.

Sources: the state dictionaries of torch.optim, the slot variables of TensorFlow 1 and 2, the
optimisers of Keras, and optax's states.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .._internal.files import Array

__all__ = ["is_optimizers", "optimizer_entries"]

_NAMED = re.compile(
    r"optimi[sz]er|(^|[./])(opt_state|exp_avg|max_exp_avg|momentum_buffer|square_avg|param_groups"
    r"|beta[12]_power|Adam(W|ax|_\d+|Grad|grad|delta)?([./]|$)|RMSProp|Momentum([./]|$))",
    re.IGNORECASE,
)
_SLOT = r"(m|v|mu|nu|vhat|momentum|velocity|accumulator|rms|exp_avg|exp_avg_sq)"
_MARKS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?P<before>.*[./])?{_SLOT}[./](?P<after>.+)",  # adam.m.W_hh
        rf"(?P<before>.+)[./_]{_SLOT}(?P<after>(:\d+)?)",  # W_hh/m, W_hh_m
        rf"(?P<before>(?:.*[./])?){_SLOT}_(?P<after>.+)",  # m_W_hh
    )
]


def optimizer_entries(arrays: Mapping[str, Array]) -> set[str]:
    """Names of an optimiser's entries.

    They are known by their names, or, where a name such as ``m`` alone says nothing, because the
    rest of it is the name of an entry of the same shape: ``adam.m.W_hh`` beside ``W_hh``.
    """
    shapes: dict[str, dict[tuple[int, ...], int]] = {}  # of the names with each end → their number
    for name, array in arrays.items():
        for end in _ends(name):
            counts = shapes.setdefault(end, {})
            counts[array.shape] = counts.get(array.shape, 0) + 1
    return {
        name for name, a in arrays.items() if is_optimizers(name) or _is_slot(name, a.shape, shapes)
    }


def is_optimizers(name: str) -> bool:
    """Whether the name alone says that an entry is an optimiser's."""
    return _NAMED.search(name) is not None


def _is_slot(
    name: str, shape: tuple[int, ...], shapes: Mapping[str, Mapping[tuple[int, ...], int]]
) -> bool:
    mine = _ends(name)
    for mark in _MARKS:
        found = mark.fullmatch(name)
        if found is None:
            continue
        after = found["after"] or ""
        for end in ((found["before"] or "") + after, after):
            if end and shapes.get(end, {}).get(shape, 0) > (end in mine):  # another one's
                return True
    return False


def _ends(name: str) -> list[str]:
    """A name and its ends of at most six levels."""
    starts = [found.end() for found in re.finditer(r"[./]", name)][-6:]
    return [name, *(name[start:] for start in starts)]
