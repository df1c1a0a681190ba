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
from .layouts import LAYOUTS, find_layout, find_readout, put_layout
from .parts import Parts, by_keys, components, is_kernel, quoted
from .projects import PROJECTS, put_project
from .proposals import proposal
from .unused import leaks, left_over, unused_parameters

__all__ = ["FORMATS", "assemble", "collect"]

FORMATS = ("schurscope", *dict.fromkeys([layout.format for layout in LAYOUTS]), *PROJECTS)
"""The formats that `load_network` accepts as `format`."""

_ASSUMED = ("activation", "form", "leak", "output")
"""Fields of a vanilla cell that are assumed if nothing states them; of a gated one, the output."""


def collect(parts: Parts, format: str | None) -> str:
    """Fill the parts from the checkpoint and the caller's keys; return the format found.

    ValueError, listing the candidates, if a part is missing or ambiguous.
    """
    found = put_project(parts, format)
    if found is None and (place := find_layout(parts, format)) is not None:
        found = place[0].format
        put_layout(parts, *place)
    parts.put_named()
    if found is None and format not in (None, "arrays"):
        parts.fail(f"is not in the format {format!r}; it holds {listed(parts.checkpoint.arrays)}")
    if missing := [part for part in ("W_hh", "W_xh") if part not in parts.arrays]:
        hint = proposal(parts)
        if any("parametrizations." in name for name in parts.checkpoint.arrays):
            hint = "Its weights are parametrised: give the module itself, which computes them"
        parts.fail(
            f"has no {' and no '.join(missing)} under a known name; it holds "
            f"{listed(parts.parameters())}. {hint}"
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
    concerns += unused_parameters(parts, missed)
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
    if "kind" in parts.stated and given is None:
        return  # only a SimpleCell has it
    if given is not None and found != "flax":
        raise ValueError(f"residual is an option of Flax's cells, got it for the format {found!r}")
    if given is not None and stated is not None and given != stated:
        parts.fail(f"has residual={stated}, got residual={given}")
    if found == "flax" and given is None and stated is None:
        notes.append("assumed residual=False, Flax's default: the parameters do not state it")
    if given or stated:
        parts.add_identity()


def _transposed_hint(parts: Parts) -> str:
    """The end of a message, if the input matrix or the readout fits W_hh only when transposed."""
    arrays = parts.arrays
    n_hidden = parts.n_hidden
    turned = [
        part
        for part, axis in (("W_xh", 0), ("W_hy", 1))
        if arrays[part].ndim == 2
        and arrays[part].shape[axis] != n_hidden == arrays[part].shape[1 - axis]
    ]
    if not turned:
        return ""
    shapes = " and ".join(f"{part} {arrays[part].shape}" for part in turned)
    fit = "fits" if len(turned) == 1 else "fit"
    names = {part: _turned(parts, part) for part in turned}
    return (
        f". {shapes} {fit} only transposed: W_xh is (N_h, N_x) here, W_hy (N_y, N_h). Name "
        f"{'it' if len(turned) == 1 else 'them'} {by_keys(**names)}, or give arrays. W_hh "
        f"(post, pre) is square, so its shape does not tell: if states are rows there, h @ W, it "
        f"is {_turned(parts, 'W_hh')!r}"
    )


def _turned(parts: Parts, part: str) -> str:
    """The name of the transposed of a part."""
    sources, mapped = parts.sources.get(part, []), parts.mapped[part]
    if len(sources) != 1 or mapped.removesuffix("ᵀ") != sources[0]:
        return f"({mapped}).T" if sources else "…"
    name = quoted(sources[0])
    return name if mapped.endswith("ᵀ") and not is_kernel(name) else f"{name}.T"


def _cell(parts: Parts, given: dict[str, Any], notes: list[str], concerns: list[str]) -> Cell:
    """The cell, from the source and the caller, else from the format's defaults."""
    gated = "kind" in parts.stated
    of_cell = {n: v for n, v in parts.checkpoint.cell.items() if not gated or n == "output"}
    stated = {**of_cell, **parts.stated}
    for name in ("activation", "output"):
        if name in stated and stated[name] not in ACTIVATIONS:
            parts.fail(
                f"states the {name} {stated[name]!r}, which is not one of {', '.join(ACTIVATIONS)}"
            )
    for name, value in given.items():
        if name in stated and not np.array_equal(stated[name], value):
            parts.fail(f"states {name}={stated[name]!r}, got {name}={value!r}")
    known = {**stated, **given}
    if not gated:
        _leak_of_file(parts, known, notes, concerns)
    for name, where in parts.unstated.items():
        if name not in known:
            parts.fail(f"does not state its {name}; give {name}=, which is {where} there")
    assumed = {
        field.name: parts.assumed.get(field.name, field.default)
        for field in fields(Cell)
        if field.name not in known and field.name in (("output",) if gated else _ASSUMED)
    }
    quiet = dict(assumed)
    if "activation" in quiet:
        told = f"activation={quiet.pop('activation')!r}"
        concerns.append(f"assumed {told}: the source does not say; give activation= to settle it")
    if "leak" in quiet and (found := leaks(parts)):
        told = f"leak={quiet.pop('leak')!r}"
        values = ", ".join(f"{name} = {value:g}" for name, value in found.items())
        concerns.append(
            f"assumed {told}, though the source has {values}, which is ignored because a "
            "name proves nothing; give leak=, which is dt / tau"
        )
    for name, why in parts.doubted.items():
        if name in quiet:
            concerns.append(f"assumed {name}={quiet.pop(name)!r}: {why}; give {name}= to settle it")
    if quiet:
        told = ", ".join(f"{name}={value!r}" for name, value in quiet.items())
        notes.append(f"assumed {told}: the source does not say")
    return Cell(**assumed, **known)


def _leak_of_file(
    parts: Parts, known: dict[str, Any], notes: list[str], concerns: list[str]
) -> None:
    """The leak dt / tau, if the source has one number of each; the caller's leak prevails."""
    found = leaks(parts)
    named = {components(name)[-1].lower(): name for name in found}
    if not {"dt", "tau"} <= set(named) or len(named) != len(found):
        return
    dt, tau = (found[named[name]] for name in ("dt", "tau"))
    if not 0 < dt <= tau < np.inf:
        return
    told = f"{named['dt']} / {named['tau']} = {dt:g} / {tau:g}"
    if "leak" in known:
        if not np.allclose(known["leak"], dt / tau, rtol=1e-5):
            concerns.append(f"got another leak, although the source has {told}")
        return
    known["leak"] = dt / tau
    notes_or_concerns = notes if "leak" in parts.unstated else concerns
    notes_or_concerns.append(f"leak={dt / tau:g}, which is {told}; give leak= if it is not")
