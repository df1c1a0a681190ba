"""Trials in .npz files that other programs wrote."""

from __future__ import annotations

import os
import warnings

from .._internal.checks import printable, suggest
from .._internal.files import Array

__all__ = ["plain_entries"]

_SHORT = {"inputs": "x", "targets": "y"}


def plain_entries(
    path: str | os.PathLike[str], arrays: dict[str, Array], names: tuple[str, ...]
) -> dict[str, Array]:
    """The entries of an archive that `Trials.save` did not write.

    Others are notes about the trials, such as their seed; a warning names those that may be weights
    or states under another name.
    """
    found = {name: arrays[name] for name in names if name in arrays}
    for name, short in _SHORT.items():
        if name in arrays and short in arrays:
            raise ValueError(f"{path} must have {name} or {short}, got both")
        if short in arrays:
            found[name] = arrays[short]
    strangers = arrays.keys() - names - set(_SHORT.values())
    for name, short in _SHORT.items():
        # An unknown entry may be the missing targets under another name.
        if name not in found and (name == "inputs" or strangers):
            raise ValueError(
                f"{path} must hold {name} (or {short}), got {', '.join(arrays) or 'no arrays'}"
            )
    doubtful = [name for name in arrays if name in strangers and _may_count(name, arrays, names)]
    if doubtful:
        warnings.warn(
            f"{path} has entries that are not read: {printable(', '.join(doubtful))}; those of "
            f"trials are {', '.join(names)}",
            stacklevel=3,
        )
    return found


def _may_count(name: str, arrays: dict[str, Array], names: tuple[str, ...]) -> bool:
    return arrays[name].ndim > 1 or bool(suggest(name, names))
