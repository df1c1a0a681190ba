"""Builds the network from its parts, with a note of every assumption."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import cast, float_dtype
from ..networks.cell import ACTIVATIONS, Cell
from ..networks.network import Network
from .formats.checkpoint import listed
from .layouts import LAYOUTS, OPTIMIZER, find_layout, find_readout, left_over, put_layout
from .parts import Parts, by_keys, components
from .research import COMPUTED, put_computed_format

__all__ = ["FORMATS", "assemble", "collect"]

FORMATS = ("schurscope", *dict.fromkeys([layout.format for layout in LAYOUTS]), *COMPUTED)
"""The formats that `load_network` accepts as `format`."""


def collect(parts: Parts, format: str | None) -> str:
    """Fill the parts from the checkpoint and the caller's keys; return the format found.

    ValueError, listing the candidates, if a part is missing or ambiguous.
    """
    found = put_computed_format(parts, format)
    if found is None and (place := find_layout(parts, format)) is not None:
        found = place[0].format
        put_layout(parts, *place)
    parts.put_named()
    if found is None and format not in (None, "arrays"):
        parts.fail(f"is not in the format {format!r}; it holds {listed(parts.checkpoint.arrays)}")
    if missing := [part for part in ("W_hh", "W_xh") if part not in parts.arrays]:
        named = by_keys(W_hh="…", W_xh="…", W_hy="…")
        hint = f"Name the entries with {named}, and b_h, b_y and h_0 if it has them"
        if any("parametrizations." in name for name in parts.checkpoint.arrays):
            hint = "Its weights are parametrised: give the module itself, which computes them"
        parts.fail(
            f"has no {' and no '.join(missing)} under a known name; it holds "
            f"{listed(parts.checkpoint.arrays)}. {hint}"
        )
    find_readout(parts)
    return found or "arrays"


def assemble(
    parts: Parts, found: str, options: dict[str, Any], dtype: npt.DTypeLike | None
) -> tuple[Network, dict[str, str], list[str], list[str]]:
    """The network, the ignored entries with reasons, notes, and notes worth a warning."""
    checkpoint = parts.checkpoint
    notes, concerns = checkpoint.notes, checkpoint.warnings
    _add_residual(parts, found, options.pop("residual", None), notes)
    cell = _cell(parts, options, notes, concerns)
    ignored, missed = left_over(parts)
    missed = [name for name in missed if components(name)[-1].lower() not in _LEAKS]
    if fitting := _fitting(parts, missed):
        told = listed({name: checkpoint.arrays[name] for name in fitting})
        suggested = {part: name for name, part in reversed(fitting.items())}
        concerns.append(
            f"parameters that fit b_h, b_y or h_0 were left out: {told}; if they belong to the "
            f"network, name them with {by_keys(**suggested)}"
        )
    others = [name for name in missed if name not in fitting]
    if others and "W_hy" not in parts.keys:  # a caller who names it saw them
        concerns.append(f"not part of the imported network: {', '.join(others)}")
    if narrow := {n: kind for n, kind in checkpoint.narrow.items() if n in parts.used}:
        told = ", ".join(f"{name} ({kind})" for name, kind in narrow.items())
        concerns.append(f"widened to float32, the narrowest supported dtype: {told}")
    arrays = _of_one_dtype(parts, dtype, notes)
    try:
        network = Network(**arrays, cell=cell)
        if network.h_0 is not None and not network.h_0.any():
            network = replace(network, h_0=None)  # zeros are the default
    except (TypeError, ValueError) as error:
        sources = ", ".join(f"{part} is {how}" for part, how in parts.mapped.items())
        hint = _transposed_hint(parts)
        parts.fail(f"does not hold a valid network: {error} ({sources}){hint}")
    return network, ignored, notes, concerns


_LEAKS = ("leak", "alpha", "tau", "dt")
"""Names of entries that hold a = dt / tau or its factors."""


def _fitting(parts: Parts, missed: list[str]) -> dict[str, str]:
    """Unused vectors that could be a bias or the initial state → that part."""
    W_hh, W_hy = parts.arrays["W_hh"], parts.arrays["W_hy"]
    found: dict[str, str] = {}
    for name in missed:
        array = parts.checkpoint.arrays[name]
        if array.size != max(array.shape):
            continue
        # A key of None asks for no bias.
        if W_hh.shape[:1] == (array.size,) and parts.keys.get("b_h", "") is not None:
            found[name] = "b_h" if "b_h" not in parts.arrays else "h_0"
        elif W_hy.shape[:1] == (array.size,) and "b_y" not in {**parts.arrays, **parts.keys}:
            found[name] = "b_y"
    return found


def _of_one_dtype(parts: Parts, dtype: npt.DTypeLike | None, notes: list[str]) -> dict[str, Any]:
    """All arrays in `dtype`, or in the widest dtype of the source, which is exact."""
    arrays = parts.arrays
    stored = [array for part, array in arrays.items() if part not in parts.given]
    widest = np.result_type(*(stored or arrays.values()))
    wanted = float_dtype(widest if dtype is None else dtype)
    if any(array.dtype != wanted for array in arrays.values()):
        told = ", ".join(f"{part} {array.dtype}" for part, array in arrays.items())
        notes.append(f"converted to {wanted}: {told}")
    return {part: cast(array, wanted, part) for part, array in arrays.items()}


def _add_residual(parts: Parts, found: str, given: bool | None, notes: list[str]) -> None:
    """Add I to W_hh, as Flax's cells do with residual=True."""
    stated = parts.checkpoint.cell.pop("residual", None)
    if given is not None and found != "flax":
        raise ValueError(f"residual is an option of Flax's cells, got it for the format {found!r}")
    if given is not None and stated is not None and given != stated:
        parts.fail(f"has residual={stated}, got residual={given}")
    if found == "flax" and given is None and stated is None:
        notes.append("assumed residual=False, Flax's default: the parameters do not state it")
    if given or stated:
        W_hh = parts.arrays["W_hh"]
        parts.arrays["W_hh"] = W_hh + np.eye(len(W_hh), dtype=W_hh.dtype)
        parts.mapped["W_hh"] += " + I"


def _transposed_hint(parts: Parts) -> str:
    """The end of a message, if the input matrix or the readout fits W_hh only when transposed."""
    arrays = parts.arrays
    n_hidden = max(arrays["W_hh"].shape, default=1)
    turned = [
        f"{part} {arrays[part].shape}"
        for part, axis in (("W_xh", 0), ("W_hy", 1))
        if arrays[part].ndim == 2
        and arrays[part].shape[axis] != n_hidden == arrays[part].shape[1 - axis]
    ]
    if not turned:
        return ""
    names = {
        part: f"{parts.mapped[part]}.T" if parts.has(parts.mapped[part]) else "…"
        for part in ("W_hh", "W_xh", "W_hy")
    }
    return (
        f". {' and '.join(turned)}: transposed? Here W_hh is (post, pre), W_xh (N_h, N_x) and W_hy "
        "(N_y, N_h). If states are rows, as in x @ W, all three are transposed, W_hh too, although "
        f"its shape is the same: name them with .T, {by_keys(**names)}, or give arrays instead"
    )


def _leaks(parts: Parts) -> list[str]:
    """Numbers of the source that may state its leak, with their values."""
    scalars = {n: a.item() for n, a in parts.checkpoint.arrays.items() if a.size == 1}
    return [
        f"{name} = {value:g}"
        for name, value in {**scalars, **parts.checkpoint.numbers}.items()
        if components(name)[-1].lower() in _LEAKS
        and name not in parts.used
        and not OPTIMIZER.search(name)
    ]


def _cell(parts: Parts, given: dict[str, Any], notes: list[str], concerns: list[str]) -> Cell:
    """The cell, from the source and the caller, else from the format's defaults."""
    stated = {**parts.checkpoint.cell, **parts.stated}
    for name in ("activation", "output"):
        if name in stated and stated[name] not in ACTIVATIONS:
            parts.fail(
                f"states the {name} {stated[name]!r}, which is not one of {', '.join(ACTIVATIONS)}"
            )
    for name, value in given.items():
        if name in stated and not np.array_equal(stated[name], value):
            parts.fail(f"states {name}={stated[name]!r}, got {name}={value!r}")
    for name, where in parts.unstated.items():
        if name not in given:
            parts.fail(f"does not state its {name}; give {name}=, which is {where} there")
    known = {**stated, **given}
    assumed = {
        field.name: parts.assumed.get(field.name, field.default)
        for field in fields(Cell)
        if field.name not in known and field.name not in ("noise", "readout")
    }
    quiet = dict(assumed)
    if "activation" in quiet:
        told = f"activation={quiet.pop('activation')!r}"
        concerns.append(f"assumed {told}: the source does not say; give activation= to settle it")
    if "leak" in quiet and (leaks := _leaks(parts)):
        told = f"leak={quiet.pop('leak')!r}"
        concerns.append(
            f"assumed {told}, though the source has {', '.join(leaks)}, which is ignored because a "
            "name proves nothing; give leak=, which is dt / tau"
        )
    if quiet:
        told = ", ".join(f"{name}={value!r}" for name, value in quiet.items())
        notes.append(f"assumed {told}: the source does not say")
    return Cell(**assumed, **known)
