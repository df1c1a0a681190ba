"""GRU and LSTM: gates that a source stacks in one matrix, or keeps in one entry each.

A network stacks the gates in the order of `Cell.gates`. Sources: the documentation of torch.nn.GRU
and LSTM, keras.layers.GRU and LSTM, flax.linen and flax.nnx GRUCell, LSTMCell and
OptimizedLSTMCell, and equinox.nn.GRUCell and LSTMCell, which have PyTorch's rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations
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
    reset: str | None = None

    @property
    def inside(self) -> tuple[str, ...]:
        """The gates whose recurrent bias lies inside the reset, and is not summed."""
        return ("n",) if self.reset == "after" and "n" in self.b_r else ()

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
    order = layout.gates or (layout.gru if kind == "gru" else layout.lstm)
    found = (_named if layout.gates else _split)(parts, layout, prefix, joint, order)
    parts.stated["kind"] = kind
    found.reset = _reset(parts, layout, kind, found)
    _require_known_functions(parts, layout, kind)
    gates = Cell(kind=kind).gates
    told = {
        "W_hh": _told(found.told["W_hh"], gates, order),
        "W_xh": _told(found.told["W_xh"], gates, order),
        "b_h": " + ".join([*found.told.get("b_x", []), *found.told.get("b_r", [])]),
        "b_hn": f"n of {found.told.get('b_r', [''])[-1]}",
    }
    told["b_h"] += ", of n only the first" if found.inside and found.b_x else ""
    for part, array in _arrays(parts, found, gates).items():
        parts.put_computed(part, array, told[part])
    if not layout.gates:
        parts.reordered.extend(_other_orders(parts, found, order, gates))


def _arrays(parts: Parts, found: _Gates, gates: tuple[str, ...]) -> dict[str, Array]:
    """The parts of the network, their rows in the order of `gates`."""
    arrays = {
        "W_hh": np.concatenate([found.W_hh[gate] for gate in gates]),
        "W_xh": np.concatenate([found.W_xh[gate] for gate in gates]),
    }
    if found.inside:
        arrays["b_hn"] = found.b_r["n"]
    if found.b_x or set(found.b_r) - {*found.inside}:
        biases = [_bias(parts, found, gate, summed=gate not in found.inside) for gate in gates]
        arrays["b_h"] = np.concatenate(biases)
    return arrays


def _other_orders(
    parts: Parts, found: _Gates, order: str, gates: tuple[str, ...]
) -> Iterator[tuple[str, Callable[[], dict[str, Array]]]]:
    """The same entries with their gates in another order: in words, and what makes the parts."""
    for other in permutations(order):
        if "".join(other) == order:
            continue

        def moved(given: dict[str, Array], other: tuple[str, ...] = other) -> dict[str, Array]:
            if len(given) < len(order):  # of n alone, or none
                return given
            return dict(zip(other, [given[gate] for gate in order], strict=True))

        W_hh, W_xh, b_x, b_r = map(moved, (found.W_hh, found.W_xh, found.b_x, found.b_r))
        reread = _Gates(W_hh, W_xh, b_x, b_r, found.told, found.reset)
        told = f"the gates in the order {', '.join(other)}, here {', '.join(order)}"
        yield told, partial(_arrays, parts, reread, gates)


def _split(parts: Parts, layout: Layout, prefix: str, joint: str, order: str) -> _Gates:
    """The gates of stacked entries."""
    found, n_gates = _Gates(), len(order)

    def full(name: str) -> str:
        return prefix + name.replace(".", joint)

    for part, name in (("W_hh", layout.W_hh), ("W_xh", layout.W_xh)):
        entry = full(name)
        if not parts.has(entry):
            parts.fail(f"has {full(layout.W_hh)} but no {entry}")
        array = parts.entry(entry)
        array = array.T if is_kernel(entry) else array
        if len(array) % n_gates:
            parts.fail(f"has {entry} {array.shape}, which is no stack of {n_gates} gates")
        getattr(found, part).update(zip(order, np.split(array, n_gates), strict=True))
        found.tell(part, f"{entry}ᵀ" if is_kernel(entry) else entry)
    for entry, name in ((full(name), name) for name in layout.b_h if parts.has(full(name))):
        array = np.atleast_2d(
            parts.entry(entry)
        )  # Keras: (2, 3 N_h), of input and recurrent product
        sides = ("b_r",) if name in layout.b_recurrent else ("b_x", "b_r")
        if array.ndim > 2 or array.shape[1] % n_gates or len(array) > len(sides):
            parts.fail(f"has {entry} {array.shape}, which is no bias of {n_gates} gates")
        for place, (row, side) in enumerate(zip(array, sides, strict=False)):
            getattr(found, side).update(zip(order, np.split(row, n_gates), strict=True))
            found.tell(side, entry if len(array) == 1 else f"{entry}[{place}]")
    if layout.b_n and parts.has(prefix + layout.b_n):
        found.b_r["n"] = parts.entry(prefix + layout.b_n)
        found.tell("b_r", prefix + layout.b_n)
    return found


def _named(parts: Parts, layout: Layout, prefix: str, joint: str, order: str) -> _Gates:
    """The gates of entries by name: Flax's ``hr.kernel``, ``in.bias`` and so on."""
    found = _Gates()
    sides = (
        ("h", "W_hh", found.W_hh, "b_r", found.b_r),
        ("i", "W_xh", found.W_xh, "b_x", found.b_x),
    )
    for gate in order:
        for letter, part, matrices, bias, biases in sides:
            # nnx writes if_, because `if` is a word of Python's.
            stems = (f"{prefix}{letter}{gate}", f"{prefix}{letter}{gate}_")
            stem = next((s for s in stems if parts.has(f"{s}{joint}kernel")), None)
            if stem is None:
                parts.fail(f"has gates of {layout.format}, but no {stems[0]}{joint}kernel")
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
