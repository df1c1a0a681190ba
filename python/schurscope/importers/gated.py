"""GRU and LSTM: gates that a source stacks in one matrix, or keeps in one entry each.

A network stacks the gates in the order of `Cell.gates`. Sources: the documentation of torch.nn.GRU
and LSTM, keras.layers.GRU and LSTM, flax.linen and flax.nnx GRUCell, LSTMCell and
OptimizedLSTMCell, and equinox.nn.GRUCell and LSTMCell, which have PyTorch's rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .._internal.files import Array
from ..networks.cell import Cell, Kind
from .parts import Parts, components, is_kernel

if TYPE_CHECKING:
    from .layouts import Layout

__all__ = ["GATES_HINT", "kind_of", "put_gates", "refuse_gates"]

GATES_HINT = (
    "What a Network does not run, schurscope.ablate_with ablates inside your own rollout; "
    "schurscope.pytorch.RecurrentWeight and evaluator do so for a PyTorch module"
)

_OTHER_CELLS = {
    "projections (proj_size), whose states are smaller than its cell": r"weight_hr",
    "peepholes": r"peephole|(^|[._/])w(eight)?_?c[ifo]$|_diag$",
    "layer normalisation": r"(^|[._/])(ln|layer_?norm|norm)([._/\d]|$)",
}
"""Cells with gates and more → what their entries are called."""


@dataclass
class _Gates:
    """Gate → its arrays, each acting from the left; the biases of input and recurrent products."""

    W_hh: dict[str, Array] = field(default_factory=dict)
    W_xh: dict[str, Array] = field(default_factory=dict)
    b_x: dict[str, Array] = field(default_factory=dict)
    b_r: dict[str, Array] = field(default_factory=dict)
    told: dict[str, list[str]] = field(default_factory=dict)

    def tell(self, kind: str, entry: str) -> None:
        self.told.setdefault(kind, []).append(entry)


def kind_of(parts: Parts, layout: Layout, name: str) -> Kind:
    """The kind of cell whose recurrent matrix is the entry `name`.

    ValueError for stacked gates in a layout whose order of the gates is not known.
    """
    if layout.gates:
        return "gru" if layout.gates == "rzn" else "lstm"
    n_gates = _stacked(parts.checkpoint.arrays[name], is_kernel(name))
    if n_gates == 0:
        if parts.has(name.replace("weight_hh", "weight_hr", 1)) and "weight_hh" in name:
            _refuse_other_cells(parts, name[: name.rindex("weight_hh")], "lstm")
        return "vanilla"
    kind: Kind = "gru" if n_gates == 3 else "lstm"
    if not (layout.gru if kind == "gru" else layout.lstm):
        refuse_gates(parts, name, n_gates)
    return kind


def refuse_gates(parts: Parts, name: str, n_gates: int) -> None:
    """ValueError for a stack of gates whose order only the caller knows."""
    cell = "a GRU" if n_gates == 3 else "an LSTM"
    kind = "gru" if n_gates == 3 else "lstm"
    parts.fail(
        f"holds the gates of {cell}: {name} {parts.checkpoint.arrays[name].shape} stacks {n_gates} "
        f"recurrent matrices, in an order that the name does not tell. Build it with "
        f"schurscope.Network(…, cell=schurscope.Cell(kind={kind!r})), which has the order of "
        f"PyTorch. {GATES_HINT}"
    )


def _stacked(array: Array, transposed: bool) -> int:
    """Number of gates that a recurrent matrix stacks: 3 or 4, or 0 if it stacks none."""
    shape = array.shape[::-1] if transposed else array.shape
    if len(shape) == 2 and shape[1] and shape[0] in (3 * shape[1], 4 * shape[1]):
        return int(shape[0] // shape[1])
    return 0


def put_gates(parts: Parts, layout: Layout, prefix: str, kind: Kind) -> None:
    """Fill the parts of a gated cell; ValueError if its equations are not those of `Cell`."""
    joint = "/" if "/" in prefix else "."
    _refuse_other_cells(parts, prefix, kind)
    found = _named(parts, layout, prefix, joint) if layout.gates else None
    order = layout.gru if kind == "gru" else layout.lstm
    found = found or _split(parts, layout, prefix, joint, order)
    parts.stated["kind"] = kind
    reset = _reset(parts, layout, kind, found)
    _require_known_functions(parts, layout, kind)
    gates = Cell(kind=kind).gates
    for part, arrays in (("W_hh", found.W_hh), ("W_xh", found.W_xh)):
        stack = np.concatenate([arrays[gate] for gate in gates])
        parts.put_computed(part, stack, _told(found.told[part], gates, order or layout.gates))
    inside = ("n",) if reset == "after" and "n" in found.b_r else ()
    if inside:
        parts.put_computed("b_hn", found.b_r["n"], f"n of {found.told['b_r'][-1]}")
    if found.b_x or set(found.b_r) - {*inside}:
        biases = [_bias(parts, found, gate, summed=gate not in inside) for gate in gates]
        told = " + ".join([*found.told.get("b_x", []), *found.told.get("b_r", [])])
        alone = ", of n only the first" if inside and found.b_x else ""
        parts.put_computed("b_h", np.concatenate(biases), told + alone)


def _split(parts: Parts, layout: Layout, prefix: str, joint: str, order: str) -> _Gates:
    """The gates of stacked entries."""
    found = _Gates()

    def rows(name: str) -> list[Array] | None:
        entry = prefix + name.replace(".", joint)
        if not name or not parts.has(entry):
            return None
        array = parts.entry(entry)
        array = array.T if is_kernel(entry) else array
        if array.shape[0] % len(order):
            parts.fail(f"has {entry} {array.shape}, which is no stack of {len(order)} gates")
        return np.split(array, len(order))

    for part, target in (("W_hh", found.W_hh), ("W_xh", found.W_xh)):
        name = getattr(layout, part)
        blocks = rows(name)
        if blocks is None:
            parts.fail(f"has {prefix}{layout.W_hh.replace('.', joint)} but no {prefix}{name}")
        target.update(zip(order, blocks, strict=True))
        entry = prefix + name.replace(".", joint)
        found.tell(part, f"{entry}ᵀ" if is_kernel(entry) else entry)
    for name in layout.b_h:
        entry = prefix + name.replace(".", joint)
        if not parts.has(entry):
            continue
        array = parts.entry(entry)
        is_recurrent = name in layout.b_recurrent
        both = array if array.ndim == 2 else array[None]  # Keras: (2, 3 N_h), input and recurrent
        sides = [found.b_r] if is_recurrent else [found.b_x, found.b_r]
        if array.ndim > 2 or both.shape[1] % len(order) or len(both) > len(sides):
            parts.fail(f"has {entry} {array.shape}, which is no bias of {len(order)} gates")
        for side, row in zip(sides, both, strict=False):
            side.update(zip(order, np.split(row, len(order)), strict=True))
        for part in ("b_r",) if is_recurrent else ("b_x", "b_r")[: len(both)]:
            found.tell(part, entry if len(both) == 1 else f"{entry}[{0 if part == 'b_x' else 1}]")
    if layout.b_n and parts.has(entry := prefix + layout.b_n):
        found.b_r["n"] = parts.entry(entry)
        found.tell("b_r", entry)
    return found


def _named(parts: Parts, layout: Layout, prefix: str, joint: str) -> _Gates:
    """The gates of entries by name: Flax's ``hr.kernel``, ``in.bias`` and so on."""
    found = _Gates()
    sides = (
        ("h", "W_hh", found.W_hh, "b_r", found.b_r),
        ("i", "W_xh", found.W_xh, "b_x", found.b_x),
    )
    for gate in layout.gates:
        for letter, part, matrices, bias, biases in sides:
            # nnx writes if_, because `if` is a word of Python's.
            stems = (f"{prefix}{letter}{gate}", f"{prefix}{letter}{gate}_")
            stem = next((s for s in stems if parts.has(f"{s}{joint}kernel")), None)
            if stem is None:
                parts.fail(f"has gates of Flax, but no {stems[0]}{joint}kernel")
            matrices[gate] = parts.entry(f"{stem}{joint}kernel").T
            found.tell(part, f"{stem}{joint}kernelᵀ")
            if parts.has(f"{stem}{joint}bias"):
                biases[gate] = parts.entry(f"{stem}{joint}bias")
                found.tell(bias, f"{stem}{joint}bias")
    return found


def _bias(parts: Parts, found: _Gates, gate: str, *, summed: bool) -> Array:
    """The bias of a gate: that of its input, and of its recurrent product if they are summed."""
    size, dtype = len(found.W_hh[gate]), found.W_hh[gate].dtype
    total: Array = np.zeros(size, dtype)
    for bias in (found.b_x.get(gate), found.b_r.get(gate) if summed else None):
        if bias is not None and bias.shape != (size,):
            parts.fail(
                f"has a bias of shape {bias.shape} of the gate {gate}, which has {size} rows"
            )
        total = total if bias is None else total + bias
    return total


def _reset(parts: Parts, layout: Layout, kind: Kind, found: _Gates) -> str | None:
    """Whether the reset of a GRU comes after or before the recurrent product."""
    if kind != "gru":
        return None
    if layout.format != "keras":
        parts.stated["reset"] = "after"
    elif found.b_x:
        # With reset_after, and only then, Keras has two biases.
        parts.stated["reset"] = "after" if found.b_r else "before"
    else:
        told = {facts["reset"] for facts in _facts(parts, kind)}
        if len(told) != 1:
            parts.unstated["reset"] = (
                "'after' where Keras has reset_after=True, its default, else 'before', and which "
                "a layer without biases does not show"
            )
            return None
        (parts.stated["reset"],) = told
    reset: str = parts.stated["reset"]
    return reset


def _facts(parts: Parts, kind: Kind) -> list[Mapping[str, str]]:
    """What the source's configuration says of its cells of this kind."""
    return [facts for facts in parts.checkpoint.gated if facts["kind"] == kind]


def _require_known_functions(parts: Parts, layout: Layout, kind: Kind) -> None:
    """ValueError unless the gates are logistic and the rest tanh, as far as the source tells."""
    facts = _facts(parts, kind)
    for cell in facts:
        if (cell["activation"], cell["gates"]) != ("tanh", "sigmoid"):
            parts.fail(
                f"has a {kind.upper()} with the activation {cell['activation']!r} and gates "
                f"{cell['gates']!r}; a Cell has tanh and sigmoid. {GATES_HINT}"
            )
    if not facts and layout.format in ("keras", "flax"):
        parts.checkpoint.notes.append(
            "assumed tanh and, for the gates, sigmoid, the framework's defaults: the source does "
            "not say"
        )


def _refuse_other_cells(parts: Parts, prefix: str, kind: Kind) -> None:
    siblings = [
        name.removeprefix(prefix)
        for name in parts.parameters()
        if name.startswith(prefix) and (prefix or len(components(name)) == 1)
    ]
    for told, pattern in _OTHER_CELLS.items():
        if names := [name for name in siblings if re.search(pattern, name, re.IGNORECASE)]:
            cell = "a GRU" if kind == "gru" else "an LSTM"
            parts.fail(
                f"holds {cell} with {told} ({', '.join(prefix + name for name in names)}), which "
                f"is another cell. {GATES_HINT}"
            )


def _told(entries: list[str], gates: tuple[str, ...], order: str) -> str:
    """The description of stacked matrices."""
    if len(entries) > 1:
        return ", ".join(entries)
    moved = "" if tuple(order) == gates else f" from {', '.join(order)}"
    return f"{entries[0]} ({', '.join(gates)}{moved})"
