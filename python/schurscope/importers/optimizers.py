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
    return {name for name in arrays if is_optimizers(name) or _is_slot(name, arrays)}


def is_optimizers(name: str) -> bool:
    """Whether the name alone says that an entry is an optimiser's."""
    return _NAMED.search(name) is not None


def _is_slot(name: str, arrays: Mapping[str, Array]) -> bool:
    for mark in _MARKS:
        found = mark.fullmatch(name)
        if found is None:
            continue
        after = found["after"] or ""
        for other in ((found["before"] or "") + after, after):
            ends = (known for known in arrays if known != name and _ends_with(known, other))
            if other and any(arrays[known].shape == arrays[name].shape for known in ends):
                return True
    return False


def _ends_with(name: str, end: str) -> bool:
    return name == end or name.endswith((f".{end}", f"/{end}"))
