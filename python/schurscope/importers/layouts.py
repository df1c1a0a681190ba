"""Networks whose parts are entries of the file: PyTorch, Keras, Flax, PsychRNN, plain arrays.

A layout identifies the recurrent matrix by the end of its entry's name; the rest, such as
``rnn.``, is the prefix that its siblings share. Sources: the documentation of torch.nn.RNN and
RNNCell, keras.layers.SimpleRNN, flax.linen.SimpleCell and flax.nnx.SimpleCell, and PsychRNN 1.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .formats.checkpoint import listed
from .parts import GATES_HINT, Parts, by_keys, components, ends_in, gates, is_kernel

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
    """Names of the parts after a common prefix. The bias is the sum of the entries present."""

    format: str
    W_hh: str
    W_xh: str
    b_h: tuple[str, ...]
    W_hy: str = ""
    b_y: str = ""
    h_0: str = ""
    needs: str = ""  # an entry that distinguishes it from another layout


LAYOUTS = (
    # Equinox calls its only bias `bias`.
    Layout("torch", "weight_hh", "weight_ih", ("bias_ih", "bias_hh", "bias")),
    Layout("keras", "recurrent_kernel", "kernel", ("bias",)),
    Layout("flax", "h.kernel", "i.kernel", ("i.bias", "h.bias")),
    Layout("flax", "dense_h.kernel", "dense_i.kernel", ("dense_i.bias", "dense_h.bias")),
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


def find_layout(parts: Parts, format: str | None) -> tuple[Layout, str] | None:
    """The layout of the checkpoint and the prefix of its names; None if there is none.

    ValueError if there are several recurrent matrices, layers or directions, or gates.
    """
    arrays = parts.parameters()
    named = parts.keys.get("W_hh")
    candidates = {
        name: layout for name in arrays if (layout := _layout_of(parts, name, format)) is not None
    }
    if isinstance(named, str):
        chosen = _chosen(parts, named, list(candidates))
        _set_others_aside(parts, chosen, list(candidates))
        candidates = {name: candidates[name] for name in candidates if name == chosen}
    for name in candidates:
        gates(parts, name)
    if not isinstance(named, str):
        _refuse_more_than_one_cell(parts, list(candidates))
    if not candidates:
        return None
    ((name, layout),) = candidates.items()
    # Slashes join names in HDF5, dots elsewhere: the lengths agree.
    return layout, name[: len(name) - len(layout.W_hh)]


def _chosen(parts: Parts, named: str, candidates: list[str]) -> str:
    """The recurrent matrix that the caller names, alone or in an expression."""
    entry = parts.resolve(named)[0]
    mentioned = [name for name in candidates if name in named]
    return mentioned[0] if not parts.has(entry) and len(mentioned) == 1 else entry


def _layout_of(parts: Parts, name: str, format: str | None) -> Layout | None:
    """The first layout whose recurrent matrix has this name."""
    if (found := _OF_LAYER.match(name)) and format in (None, "torch"):
        layer = found["layer"]
        biases = (f"bias_ih{layer}", f"bias_hh{layer}")
        layout = Layout("torch", f"weight_hh{layer}", f"weight_ih{layer}", biases)
        return layout if ends_in(name, layout.W_hh) else None
    for layout in LAYOUTS:
        if ends_in(name, layout.W_hh) and format in (None, layout.format):
            prefix = name[: len(name) - len(layout.W_hh)]
            if not layout.needs or parts.has(prefix + layout.needs):
                return layout
    return None


def _set_others_aside(parts: Parts, chosen: str, names: list[str]) -> None:
    """Mark the entries of other layers; ValueError if the readout may belong to another matrix.

    Layers before the chosen one in its stack have no readout.
    """
    mine = _OF_LAYER.match(chosen)
    for name in parts.checkpoint.arrays:
        its = _OF_LAYER.match(name)
        if its and mine and (its["prefix"], its["layer"]) != (mine["prefix"], mine["layer"]):
            parts.elsewhere.add(name)

    def is_before(name: str) -> bool:
        its = _OF_LAYER.match(name)
        if its is None or mine is None or its["prefix"] != mine["prefix"]:
            return False
        return int(its["depth"]) < int(mine["depth"])

    others = [name for name in names if name != chosen and not is_before(name)]
    if chosen in names and others and "W_hy" not in parts.keys:
        parts.fail(
            f"has recurrent matrices besides {chosen} to which its readout may belong "
            f"({', '.join(others)}); name the readout of this one with {by_keys(W_hy='…')}, or in "
            "Python give an array instead (numpy.eye(N_h) if the outputs are the states)"
        )


def _refuse_more_than_one_cell(parts: Parts, names: list[str]) -> None:
    arrays = parts.parameters()
    extra = [n for n in arrays if re.search(r"(^|[./])weight_hh_l\d+(_reverse)?$", n)]
    if any(name.endswith("_reverse") for name in extra):
        parts.fail(
            f"is bidirectional ({', '.join(extra)}); a Network runs forwards only. Name one "
            f"direction with {by_keys(W_hh='…', W_hy='…')} to import it alone"
        )
    if any(not name.endswith("_l0") for name in extra):
        parts.fail(
            f"has several recurrent layers ({', '.join(extra)}); a Network has one. Name one with "
            f"{by_keys(W_hh=extra[-1])} to import it alone"
        )
    if len(names) > 1:
        parts.fail(
            f"has several recurrent matrices: {listed({n: arrays[n] for n in names})}; name one "
            f"with {by_keys(W_hh=names[0])}"
        )
    flax_gates = [name for name in arrays if re.search(r"(^|[./])h[rznifog]\.kernel$", name)]
    if flax_gates and not names:
        parts.fail(f"holds the gates of a GRU or an LSTM ({', '.join(flax_gates)}). {GATES_HINT}")


def put_layout(parts: Parts, layout: Layout, prefix: str) -> None:
    """Fill the parts that the layout names; ValueError if the input matrix is missing."""
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
        and name not in parts.used
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
    n_hidden = len(parts.arrays["W_hh"])
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
