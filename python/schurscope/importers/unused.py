"""What an import leaves out, and what of it may belong to the network: biases, scales, leaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from .._internal.checks import FloatDType
from .._internal.files import Array
from ..networks.network import Network
from .formats.checkpoint import listed
from .layouts import PSYCHRNN_MASKS
from .optimizers import is_optimizers
from .parts import Parts, by_keys, components, is_kernel, quoted

__all__ = ["fitting", "leaks", "left_over", "unused_parameters", "variants"]

_LEAKS = ("leak", "alpha", "tau", "dt")
"""Names of entries that hold a = dt / tau or its factors."""

_SCALE = re.compile(r"scale|gain", re.IGNORECASE)
_NO_STATE = re.compile(r"tau|mask|noise|sigma|std|var|dale|sign|loss", re.IGNORECASE)
"""In names of vectors that are neither a bias nor an initial state."""
_BIAS = re.compile(r"bias|(^|_)b(_|$)|^b|offset", re.IGNORECASE)


def left_over(parts: Parts) -> tuple[dict[str, str], list[str]]:
    """Unused entries → the reason, and the names of those that may be missing in the network."""
    skipped = parts.checkpoint.skipped
    ignored = {name: why for name, why in skipped.items() if name not in parts.used}
    missed = []
    for name, array in parts.checkpoint.arrays.items():
        if name in parts.used:
            if PSYCHRNN_MASKS.match(name):
                ignored[name] = "already applied to the weights"
        elif name in parts.of_optimizer:
            ignored[name] = "of the optimiser"
        elif name in parts.elsewhere:
            ignored[name] = "of another layer or direction"
        else:
            ignored[name] = f"{array.dtype} {array.shape}, not part of the network"
            if array.ndim and array.dtype.kind == "f" and not _is_leak(name):
                missed.append(name)
    return ignored, missed


def unused_parameters(parts: Parts, missed: list[str]) -> list[str]:
    """Warnings of entries that may be missing in the network."""
    arrays, scales = parts.checkpoint.arrays, _scales(parts)
    told = list(scales.values())
    if found := fitting(parts, missed):
        suggested = {part: quoted(name) for name, part in reversed(found.items())}
        told.append(
            "parameters that fit b_h, b_y or h_0 were left out: "
            f"{listed({name: arrays[name] for name in found})}; if they belong to the network, "
            f"name them with {by_keys(**suggested)}"
        )
    others = [name for name in missed if name not in found and name not in scales]
    if others and "W_hy" not in parts.keys:  # a caller who names it saw them
        told.append(f"not part of the imported network: {', '.join(others)}")
    return told


def fitting(parts: Parts, missed: list[str]) -> dict[str, str]:
    """Unused vectors that could be a bias or the initial state → that part."""
    W_hh, W_hy = parts.arrays["W_hh"], parts.arrays["W_hy"]
    found: dict[str, str] = {}
    for name in missed:
        array, last = parts.checkpoint.arrays[name], components(name)[-1]
        if array.size != max(array.shape) or _SCALE.search(last) or _NO_STATE.search(last):
            continue
        # A key of None asks for no bias.
        # A gated cell's bias stacks its gates: of one row per unit it has initial states.
        if W_hh.shape[-1:] == (array.size,) and parts.keys.get("b_h", "") is not None:
            is_bias = "b_h" not in parts.arrays and len(W_hh) == array.size
            found[name] = "b_h" if is_bias else "h_0"
        elif (
            W_hy.shape[:1] == (array.size,)
            and "b_y" not in {**parts.arrays, **parts.keys}
            and (array.size > 1 or _BIAS.search(last))  # a number may be anything
        ):
            found[name] = "b_y"
    return found


def variants(
    parts: Parts, network: Network
) -> Iterator[tuple[str, Callable[[], dict[str, Array]]]]:
    """Other readings of the source, in words and as functions that return part → array.

    Gates in another order; unused vectors as a bias or the initial state.
    """
    for told, arrays in parts.reordered:
        yield told, partial(_converted, arrays, network.dtype)
    for name in left_over(parts)[1]:
        array = parts.checkpoint.arrays[name]
        n_h, kind = network.n_hidden, network.cell.kind
        sizes = {"b_h": len(network.W_hh), "h_0": n_h, "b_y": network.n_outputs}
        sizes |= {"c_0": n_h} if kind == "lstm" else {}
        for part, size in sizes.items():
            if array.size == size == max(array.shape) and getattr(network, part) is None:
                vector = array.reshape(-1).astype(network.dtype)
                if np.isfinite(vector).all():
                    yield by_keys(**{part: quoted(name)}), partial(dict, {part: vector})


def _converted(arrays: Callable[[], dict[str, Array]], dtype: FloatDType) -> dict[str, Array]:
    return {part: array.astype(dtype) for part, array in arrays().items()}


def _scales(parts: Parts) -> dict[str, str]:
    """Unused entries that look like a factor of a part, other than 1 → a warning."""
    numbers = {name: np.array(number) for name, number in parts.checkpoint.numbers.items()}
    told = {}
    for name, array in {**parts.parameters(), **numbers}.items():
        is_scale = array.dtype.kind in "fiu" and _SCALE.search(components(name)[-1])
        if not is_scale or name in parts.used | parts.elsewhere or (array == 1).all():
            continue
        value = f" = {array.item():g}" if array.size == 1 else f" {array.shape}"
        told[name] = f"{name}{value} was not used; " + _product(parts, name, array.shape)
    return told


def _product(parts: Parts, scale: str, shape: tuple[int, ...]) -> str:
    """The end of a warning: the product that may be meant."""
    stem = re.sub(r"[_.]?(scale|scaling|gain)s?[_.]?", "", scale, flags=re.IGNORECASE)
    candidates = [
        (part, entries[0])
        for part, entries in parts.sources.items()
        if part != "h_0" and len(entries) == 1 and parts.has(entries[0])
    ]
    for part, entry in candidates:
        if stem not in (entry, components(entry)[-1]):
            continue
        wanted = parts.checkpoint.arrays[entry].shape
        try:
            fits = np.broadcast_shapes(wanted, shape) == wanted
        except ValueError:
            fits = False
        if not fits and not (len(shape) == 1 and shape[0] == wanted[0]):
            break
        factor = f"{quoted(entry)} * {quoted(scale)}"
        product = factor if fits else f"diag({quoted(scale)}) @ {quoted(entry)}"
        is_transposed = parts.mapped[part].endswith("ᵀ") or is_kernel(entry)
        product = f"({product}).T" if is_transposed else product
        return f"if it multiplies {entry}, name the product: {by_keys(**{part: product})}"
    example = by_keys(W_hy=f"… * {quoted(scale)}")
    return f"if a part is multiplied by it, name the product, such as {example}"


def leaks(parts: Parts) -> dict[str, float]:
    """Numbers of the source that may state its leak."""
    arrays = parts.parameters()
    scalars = {name: array.item() for name, array in arrays.items() if array.size == 1}
    numbers = {**scalars, **parts.checkpoint.numbers}
    return {
        name: value
        for name, value in numbers.items()
        if _is_leak(name) and name not in parts.used and not is_optimizers(name)
    }


def _is_leak(name: str) -> bool:
    return components(name)[-1].lower() in _LEAKS
