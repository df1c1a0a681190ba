"""Networks whose parts are entries of the file: PyTorch, Keras, Flax, PsychRNN, plain arrays.

A layout identifies the recurrent matrix by the end of its entry's name; the rest, such as
``rnn.``, is the prefix that its siblings share. Gated cells have such names too, see gated.py.
Sources: the documentation of torch.nn.RNN and RNNCell, keras.layers.SimpleRNN,
flax.linen.SimpleCell and flax.nnx.SimpleCell, and PsychRNN 1.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..networks.cell import Kind
from .formats.checkpoint import listed
from .gated import GATES_HINT, kind_of, put_gates
from .parts import Parts, by_keys, components, ends_in, is_kernel

__all__ = [
    "LAYOUTS",
    "PSYCHRNN_MASKS",
    "Layout",
    "find_layout",
    "find_readout",
    "put_layout",
]


@dataclass(frozen=True)
class Layout:
    """Names of the parts after a common prefix. The bias is the sum of the entries present.

    `gru` and `lstm` are the orders in which W_hh, W_xh and the biases stack their gates; with
    `gates`, each gate has entries of its own.
    """

    format: str
    W_hh: str
    W_xh: str
    b_h: tuple[str, ...]
    W_hy: str = ""
    b_y: str = ""
    h_0: str = ""
    needs: str = ""  # an entry that distinguishes it from another layout
    gru: str = ""
    lstm: str = ""
    gates: str = ""
    b_recurrent: tuple[str, ...] = ()  # those of b_h that belong to the recurrent product
    b_n: str = ""  # of the recurrent product of n alone


_TORCH_GATES: dict[str, Any] = {"gru": "rzn", "lstm": "ifgo"}

LAYOUTS = (
    # Equinox calls its only bias `bias`, and that of n in the reset `bias_n`.
    Layout(
        "torch",
        *("weight_hh", "weight_ih", ("bias_ih", "bias_hh", "bias")),
        b_recurrent=("bias_hh",),
        b_n="bias_n",
        **_TORCH_GATES,
    ),
    Layout("keras", "recurrent_kernel", "kernel", ("bias",), gru="zrn", lstm="ifgo"),
    Layout("flax", "h.kernel", "i.kernel", ("i.bias", "h.bias")),
    Layout(
        "flax",
        *("dense_h.kernel", "dense_i.kernel", ("dense_i.bias", "dense_h.bias")),
        b_recurrent=("dense_h.bias",),
        **_TORCH_GATES,
    ),
    Layout("flax", "hn.kernel", "in.kernel", (), needs="hz.kernel", gates="rzn"),
    Layout("flax", "ho.kernel", "io.kernel", (), needs="hg.kernel", gates="ifgo"),
    Layout("psychrnn", "W_rec", "W_in", ("b_rec",), "W_out", "b_out", "init_state", "init_state"),
    Layout("arrays", "W_rec", "W_in", ("b_rec",), "W_out", "b_out", "h_0"),
    Layout("arrays", "Wrec", "Win", ("brec",), "Wout", "bout", "h_0"),
    Layout("arrays", "W_hh", "W_xh", ("b_h",), "W_hy", "b_y", "h_0"),
)

PSYCHRNN_MASKS = re.compile(r"Dale_|(input|rec|output)_connectivity$")
"""Already applied to the weights that PsychRNN saves."""

_OF_LAYER = re.compile(
    r"(?P<prefix>.*)(weight|bias)_(ih|hh)(?P<layer>_l(?P<depth>\d+)(_reverse)?)$"
)
"""Entries of PyTorch's layers and directions."""


def find_layout(parts: Parts, format: str | None) -> tuple[Layout, str, Kind] | None:
    """The layout, the prefix of its names and the kind of its cell; None if there is none.

    ValueError if there are several recurrent matrices, layers or directions, and neither `layer`
    nor a key chooses one.
    """
    arrays = parts.parameters()
    candidates = {
        name: layout for name in arrays if (layout := _layout_of(parts, name, format)) is not None
    }
    chosen = _chosen(parts, candidates)
    if chosen is not None:
        _set_others_aside(parts, chosen, candidates)
        candidates = {name: candidates[name] for name in candidates if name == chosen}
    kinds = {name: kind_of(parts, layout, name) for name, layout in candidates.items()}
    if chosen is None:
        _refuse_more_than_one_cell(parts, candidates)
    if not candidates:
        return None
    ((name, layout),) = candidates.items()
    if kinds[name] != "vanilla":
        _take_from_keys(parts, name)
    if chosen is not None and _is_reversed(name):
        parts.checkpoint.notes.append(
            f"{name} runs backwards: give trials whose steps are in reverse order"
        )
    # Slashes join names in HDF5, dots elsewhere: the lengths agree.
    return layout, name[: len(name) - len(layout.W_hh)], kinds[name]


def _chosen(parts: Parts, candidates: dict[str, Layout]) -> str | None:
    """The recurrent matrix that the caller chooses, by its layer or as W_hh; None for none."""
    named = parts.keys.get("W_hh")
    if parts.layer is not None:
        if named is not None:
            parts.fail("has its recurrent matrix chosen twice, by layer= and by W_hh in keys=")
        labels = {name: _label(name, layout) for name, layout in candidates.items()}
        found = [n for n, at in labels.items() if parts.layer in (n, at)]
        found = found or [n for n, at in labels.items() if _within(parts.layer, at)]
        if len(found) != 1:
            told = "several layers" if found else "no layer"
            parts.fail(
                f"has {told} {parts.layer!r}; layer= takes one of {', '.join(labels.values())}"
                if labels
                else f"has no layer {parts.layer!r}, and none of a known layout"
            )
        return found[0]
    if not isinstance(named, str):
        return None
    entry = parts.resolve(named)[0]
    mentioned = [name for name in candidates if name in named]
    return mentioned[0] if not parts.has(entry) and len(mentioned) == 1 else entry


def _label(name: str, layout: Layout) -> str:
    """The layer of a recurrent matrix: its prefix, and PyTorch's l1 or l1_reverse."""
    prefix = name[: len(name) - len(layout.W_hh)].rstrip("./")
    found = _OF_LAYER.match(name)
    end = found["layer"].lstrip("_") if found else ""
    return ".".join(filter(None, [prefix, end])) or name


def _within(words: str, label: str) -> bool:
    """Whether the levels of a name are among those of a label, next to each other."""
    wanted, levels = components(words), components(label)
    places = range(len(levels) - len(wanted) + 1)
    return any(levels[place : place + len(wanted)] == wanted for place in places)


def _is_reversed(name: str) -> bool:
    return name.endswith("_reverse") or bool(re.search(r"(^|[./_])backward", name))


def _take_from_keys(parts: Parts, name: str) -> None:
    """Drop W_hh from the keys, which name a stack of gates whose rows are still to be ordered."""
    named = parts.keys.get("W_hh")
    if named is not None and (not isinstance(named, str) or parts.resolve(named)[0] != name):
        parts.fail(
            f"stacks gates in {name}, for which W_hh must be that entry alone, got {named!r}; "
            "build the network with schurscope.Network instead"
        )
    parts.keys = {part: given for part, given in parts.keys.items() if part != "W_hh"}


def _layout_of(parts: Parts, name: str, format: str | None) -> Layout | None:
    """The first layout whose recurrent matrix has this name."""
    if (found := _OF_LAYER.match(name)) and format in (None, "torch"):
        layer = found["layer"]
        biases = (f"bias_ih{layer}", f"bias_hh{layer}")
        layout = Layout(
            "torch",
            *(f"weight_hh{layer}", f"weight_ih{layer}", biases),
            b_recurrent=biases[1:],
            **_TORCH_GATES,
        )
        return layout if ends_in(name, layout.W_hh) else None
    for layout in LAYOUTS:
        if ends_in(name, layout.W_hh) and format in (None, layout.format):
            prefix = name[: len(name) - len(layout.W_hh)]
            if not layout.needs or parts.has(prefix + layout.needs):
                return layout
    return None


def _set_others_aside(parts: Parts, chosen: str, candidates: dict[str, Layout]) -> None:
    """Mark the entries of other layers; ValueError if the readout may belong to another matrix.

    Layers before the chosen one in its stack have no readout.
    """
    mine = _OF_LAYER.match(chosen)
    prefixes = {
        name[: len(name) - len(layout.W_hh)]
        for name, layout in candidates.items()
        if name != chosen and not _OF_LAYER.match(name)
    }
    for name in parts.checkpoint.arrays:
        its = _OF_LAYER.match(name)
        if its and mine and (its["prefix"], its["layer"]) != (mine["prefix"], mine["layer"]):
            parts.elsewhere.add(name)
        if any(prefix and name.startswith(prefix) for prefix in prefixes):
            parts.elsewhere.add(name)

    def is_before(name: str) -> bool:
        its = _OF_LAYER.match(name)
        if its is None or mine is None or its["prefix"] != mine["prefix"]:
            return False
        return int(its["depth"]) < int(mine["depth"])

    others = [name for name in candidates if name != chosen and not is_before(name)]
    if chosen in candidates and others and "W_hy" not in parts.keys:
        parts.fail(
            f"has recurrent matrices besides {chosen} to which its readout may belong "
            f"({', '.join(others)}); name the readout of this one with {by_keys(W_hy='…')}, or in "
            "Python give an array instead (numpy.eye(N_h) if the outputs are the states)"
        )


def _refuse_more_than_one_cell(parts: Parts, candidates: dict[str, Layout]) -> None:
    labels = [_label(name, layout) for name, layout in candidates.items()]
    choices = " or ".join(f"layer={label!r}" for label in labels)
    way = f"Choose one with {choices} to import it alone. {GATES_HINT}"
    if any(_is_reversed(name) for name in candidates):
        parts.fail(
            f"is bidirectional ({', '.join(candidates)}); a Network runs forwards only. {way}"
        )
    layers = [name for name in candidates if (its := _OF_LAYER.match(name)) and int(its["depth"])]
    if layers:
        parts.fail(
            f"has several recurrent layers ({', '.join(candidates)}); a Network has one. {way}"
        )
    if len(candidates) > 1:
        arrays = parts.checkpoint.arrays
        parts.fail(
            f"has several recurrent matrices: {listed({n: arrays[n] for n in candidates})}. {way}"
        )
    gates = [
        name
        for name in parts.parameters()
        if re.search(r"(^|[./])h[rznifogc]_?[./]kernel$", name) and not candidates
    ]
    if gates:
        parts.fail(
            f"holds gates ({', '.join(gates)}) that are neither a GRU's nor an LSTM's. {GATES_HINT}"
        )


def put_layout(parts: Parts, layout: Layout, prefix: str, kind: Kind = "vanilla") -> None:
    """Fill the parts that the layout names; ValueError if the input matrix is missing."""
    if kind != "vanilla":
        put_gates(parts, layout, prefix, kind)
        return
    joint = "/" if "/" in prefix else "."

    def full(name: str) -> str:
        return prefix + name.replace(".", joint)

    parts.put("W_hh", full(layout.W_hh))
    parts.put("W_xh", full(layout.W_xh))
    if "W_xh" not in parts.arrays and "W_xh" not in parts.keys:
        parts.fail(
            f"has {full(layout.W_hh)} but no {full(layout.W_xh)}; name it with {by_keys(W_xh='…')}"
        )
    parts.put("b_h", *(full(name) for name in layout.b_h))
    if layout.W_hy:
        parts.put("W_hy", full(layout.W_hy))
        parts.put("b_y", full(layout.b_y))
        parts.put("h_0", full(layout.h_0))
    if layout.W_hh == "Wrec":
        parts.doubted["form"] = "pycog, which uses these names, has the form 'current'"
        parts.doubted["leak"] = "pycog, which uses these names, has a leak dt / tau"
    if layout.format == "psychrnn":
        parts.stated["form"] = "current"
        parts.assumed["activation"] = "relu"
        parts.unstated["leak"] = "alpha = dt / tau"
        parts.used.update(n for n in parts.checkpoint.arrays if PSYCHRNN_MASKS.match(n))


def find_readout(parts: Parts) -> None:
    """Take the only matrix outside the cell as the readout; ValueError if none or several."""
    arrays = parts.parameters()
    named = parts.keys.get("W_hy")
    if "W_hy" in parts.arrays:
        if isinstance(named, str):
            for name in parts.sources["W_hy"]:
                _put_sibling_bias(parts, name)
        return
    candidates = {
        name: array
        for name, array in arrays.items()
        if array.ndim == 2
        and name not in parts.used | parts.elsewhere
        and components(name)[-1] in ("weight", "kernel")
    }
    if len(candidates) != 1:
        kind = "several matrices that could be its readout" if candidates else "no readout"
        others = {name: array for name, array in arrays.items() if name not in parts.used}
        parts.fail(
            f"has {kind}: {listed(candidates or others)}; name it with {by_keys(W_hy='…')}, or in "
            "Python give an array instead (numpy.eye(N_h) if the outputs are the states)"
        )
    (name,) = candidates
    inputs = candidates[name].shape[0 if is_kernel(name) else 1]
    n_hidden = parts.n_hidden
    if inputs != n_hidden:
        parts.fail(
            f"has {name} {candidates[name].shape}, which cannot read out {n_hidden} units; name "
            f"the readout with {by_keys(W_hy='…')}, and with .T after the name if it is transposed"
        )
    parts.put("W_hy", name)
    _put_sibling_bias(parts, name)


def _put_sibling_bias(parts: Parts, name: str) -> None:
    end = components(name)[-1]
    if end in ("weight", "kernel"):
        parts.put("b_y", name[: len(name) - len(end)] + "bias")
