"""From the parts of a network to the network, with a note of all that was not said."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .._files import Array
from .._validation import cast, float_dtype
from ..cell import ACTIVATIONS, Cell
from ..network import Network
from .checkpoint import listed
from .layouts import LAYOUTS, find_layout, find_readout, left_over, put_layout
from .parts import Parts
from .research import COMPUTED, put_computed_format

__all__ = ["FORMATS", "assemble", "collect"]

FORMATS = ("schurscope", *dict.fromkeys([layout.format for layout in LAYOUTS]), *COMPUTED)
"""What `load_network` may be told to insist on."""


def collect(parts: Parts, format: str | None) -> str:
    """Fill the parts from the checkpoint and the caller's keys; the name of the format found.

    ValueError if a part is missing or ambiguous, with the candidates.
    """
    found = put_computed_format(parts, format)
    if found is None and (place := find_layout(parts, format)) is not None:
        found = place[0].format
        put_layout(parts, *place)
    parts.put_named()
    if found is None and format not in (None, "arrays"):
        parts.fail(f"is not in the format {format!r}; it holds {listed(parts.checkpoint.arrays)}")
    if missing := [part for part in ("W_hh", "W_xh") if part not in parts.arrays]:
        parts.fail(
            f"has no {' and no '.join(missing)} that is known by its name; it holds "
            f"{listed(parts.checkpoint.arrays)}. Name the entries with "
            "keys={'W_hh': …, 'W_xh': …, 'W_hy': …}"
        )
    find_readout(parts)
    return found or "arrays"


def assemble(
    parts: Parts, found: str, options: dict[str, Any], dtype: npt.DTypeLike | None
) -> tuple[Network, dict[str, str], list[str], list[str]]:
    """The network, the ignored entries with the reason, notes, and notes worth a warning."""
    checkpoint = parts.checkpoint
    notes, concerns = checkpoint.notes, checkpoint.warnings
    _add_residual(parts, found, options.pop("residual", None), notes)
    cell = _cell(parts, options, notes)
    ignored, missed = left_over(parts)
    if missed and "W_hy" not in parts.keys:  # who names the readout knows what else there is
        concerns.append(f"not part of the imported network: {', '.join(missed)}")
    if narrow := {n: kind for n, kind in checkpoint.narrow.items() if n in parts.used}:
        told = ", ".join(f"{name} ({kind})" for name, kind in narrow.items())
        concerns.append(f"widened to float32, the narrowest that is computed with: {told}")
    arrays = _of_one_dtype(parts.arrays, dtype, notes)
    if "h_0" in arrays and not arrays["h_0"].any():
        del arrays["h_0"]  # as good as none
    try:
        network = Network(**arrays, cell=cell)
    except (TypeError, ValueError) as error:
        sources = ", ".join(f"{part} is {how}" for part, how in parts.mapped.items())
        parts.fail(f"does not hold a valid network: {error} ({sources})")
    return network, ignored, notes, concerns


def _of_one_dtype(
    arrays: dict[str, Array], dtype: npt.DTypeLike | None, notes: list[str]
) -> dict[str, Any]:
    """All in `dtype`, or in the widest that occurs, which is exact."""
    wanted = float_dtype(np.result_type(*arrays.values()) if dtype is None else dtype)
    if any(array.dtype != wanted for array in arrays.values()):
        told = ", ".join(f"{part} {array.dtype}" for part, array in arrays.items())
        notes.append(f"converted to {wanted}: {told}")
    return {part: cast(array, wanted, part) for part, array in arrays.items()}


def _add_residual(parts: Parts, found: str, given: bool | None, notes: list[str]) -> None:
    """W_hh + I, as Flax's cells have it with residual=True."""
    stated = parts.checkpoint.cell.pop("residual", None)
    if given is not None and found != "flax":
        raise ValueError(f"residual is an option of Flax's cells, got it for the format {found!r}")
    if given is not None and stated is not None and given != stated:
        parts.fail(f"has residual={stated}, got residual={given}")
    if found == "flax" and given is None and stated is None:
        notes.append("assumed residual=False, Flax's default: parameters do not say it")
    if given or stated:
        W_hh = parts.arrays["W_hh"]
        parts.arrays["W_hh"] = W_hh + np.eye(len(W_hh), dtype=W_hh.dtype)
        parts.mapped["W_hh"] += " + I"


def _cell(parts: Parts, given: dict[str, Any], notes: list[str]) -> Cell:
    """The cell of what the source states, the caller says, or the format has by default."""
    stated = {**parts.checkpoint.cell, **parts.stated}
    for name in ("activation", "output"):
        if name in stated and stated[name] not in ACTIVATIONS:
            parts.fail(
                f"states the {name} {stated[name]!r}, which is not one of {', '.join(ACTIVATIONS)}"
            )
    for name, value in given.items():
        if name in stated and stated[name] != value:
            parts.fail(f"states {name}={stated[name]!r}, got {name}={value!r}")
    for name, where in parts.unstated.items():
        if name not in given:
            parts.fail(f"does not say its {name}; give {name}=, which is {where} there")
    known = {**stated, **given}
    assumed = {
        field.name: parts.assumed.get(field.name, field.default)
        for field in fields(Cell)
        if field.name not in known and field.name != "noise"
    }
    if assumed:
        told = ", ".join(f"{name}={value!r}" for name, value in assumed.items())
        notes.append(f"assumed {told}: the source does not say")
    return Cell(**assumed, **known)
