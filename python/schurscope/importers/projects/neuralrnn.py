"""neuralrnn 0.4: a folder with config.json and the weights, or a state dict of its models.

Source: its models/ctrnn, models/constrained_rnn and models/lowrank.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._internal.checks import real_number, shown
from ..layouts import Layout, put_layout
from ..parts import Parts
from .lowrank import put_lowrank_weights

__all__ = ["is_neuralrnn", "put_neuralrnn"]

_CTRNN = ("ctrnn", "ei_rnn", "constrained_rnn", "se_rnn", "sparse_rnn", "modular_rnn")
_LINEAR = Layout(
    "neuralrnn",
    "h2h.weight",
    "input2h.weight",
    ("input2h.bias", "h2h.bias"),
    "readout_layer.weight",
    "readout_layer.bias",
    "h0",
)


def is_neuralrnn(parts: Parts) -> str | None:
    """The prefix of its entries, or None."""
    if parts.checkpoint.config:
        return ""
    return parts.prefix_of("h2h.weight")


def put_neuralrnn(parts: Parts, prefix: str) -> None:
    """Fill the parts."""
    config = parts.checkpoint.config
    model = config.get("model_type", "ctrnn")
    if model == "lowrank_rnn":
        _put_lowrank(parts, config)
        return
    if model not in _CTRNN:
        parts.fail(f"is a {model}; supported neuralrnn models: {', '.join(_CTRNN)}, lowrank_rnn")
    put_layout(parts, _LINEAR, prefix)
    _apply_dale_and_masks(parts, prefix)
    mode = config.get("nonlinearity_mode", "pre_activation")
    if not config:
        parts.assumed["activation"] = "relu"
        parts.unstated["leak"] = "alpha"
        return
    leak = _alpha(parts, config)
    activation = str(config.get("activation")).lower()
    parts.stated |= {"activation": activation, "form": "rate", "output": "identity"}
    if mode == "rate":
        parts.stated |= {"form": "current", "readout": "hidden"}
    parts.stated["leak"] = 1.0 if mode == "post_blend" else leak
    if mode == "post_blend" and leak != 1:
        _fold_leak(parts, leak)
    if config.get("sigma_rec"):
        sigma = shown(config["sigma_rec"])
        parts.checkpoint.notes.append(
            f"the training noise, sigma_rec = {sigma}, is left out, as in eval()"
        )


def _alpha(parts: Parts, config: dict[str, Any]) -> float:
    try:
        return real_number(config.get("alpha"), "alpha")
    except (TypeError, ValueError) as error:
        parts.fail(f"has a config.json whose {error}")


def _apply_dale_and_masks(parts: Parts, prefix: str) -> None:
    """W_hh = |W| · diag(sign) with Dale's law, and zeros where the masks are 0."""
    arrays, mapped = parts.arrays, parts.mapped
    for part, mask in (("W_hh", "rec_mask"), ("W_xh", "in_mask"), ("W_hy", "out_mask")):
        if part in arrays and parts.has(prefix + mask):
            factor = parts.entry(prefix + mask)
            arrays[part] = parts.scaled(arrays[part], factor if part == "W_hh" else factor.T)
            mapped[part] += f" · {mask}" if part == "W_hh" else f" · {mask}ᵀ"
    if "W_hh" not in arrays:  # missing, or the caller names another
        return
    if parts.has(prefix + "dale_mask"):
        arrays["W_hh"] = parts.product(np.abs(arrays["W_hh"]), parts.entry(prefix + "dale_mask"))
        mapped["W_hh"] = f"|{mapped['W_hh']}| dale_mask"
    readout, n_hidden = arrays.get("W_hy"), arrays["W_hh"].shape[1]
    if readout is not None and readout.shape[1] < n_hidden:  # excitatory units come first
        n_read = readout.shape[1]
        arrays["W_hy"] = parts.product(readout, np.eye(n_read, n_hidden, dtype=readout.dtype))
        mapped["W_hy"] += f", 0 for the last {n_hidden - n_read} units"


def _fold_leak(parts: Parts, leak: float) -> None:
    """φ((1-a) h + a (W h + …)) is the rate form without leak of (1-a) I + a W."""
    arrays, mapped = parts.arrays, parts.mapped
    if "W_hh" not in arrays:
        parts.fail("has nonlinearity_mode 'post_blend', which needs h2h.weight to compute W_hh")
    for part in ("W_hh", "W_xh", "b_h"):
        if part in arrays:
            arrays[part] = arrays[part] * arrays[part].dtype.type(leak)
            mapped[part] = f"{leak:g} ({mapped[part]})"
    parts.add_identity(1 - leak)
    parts.checkpoint.notes.append(
        "nonlinearity_mode 'post_blend' puts the leak inside the activation: the recurrent matrix "
        f"is {mapped['W_hh']}, with leak 1, and its moduli order the blocks"
    )


def _put_lowrank(parts: Parts, config: dict[str, Any]) -> None:
    activation, output, mode = (
        str(config.get(name)).lower()
        for name in ("activation", "output_activation", "nonlinearity_mode")
    )
    if mode != "rate" or activation != output:
        parts.fail(
            f"has nonlinearity_mode {mode!r}, activation {activation!r} and "
            f"output_activation {output!r}; only 'rate' with two equal activations is supported"
        )
    put_lowrank_weights(parts, "", bool(config.get("scale_by_hidden_size", True)))
    leak = _alpha(parts, config)
    parts.stated |= {"activation": activation, "form": "current", "leak": leak}
