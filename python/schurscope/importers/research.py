"""Networks whose parts must be computed: lowrank_inference, neuralrnn and nnRNN.

Sources: the code of adrian-valente/lowrank_inference (modules.py), of neuralrnn 0.4
(models/ctrnn, models/constrained_rnn, models/lowrank) and of nnRNN/nnRNN_release (RNN_Cell.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._internal.checks import real_number
from .layouts import Layout, put_layout
from .parts import Parts, components

__all__ = ["COMPUTED", "put_computed_format"]

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


def put_computed_format(parts: Parts, format: str | None) -> str | None:
    """Fill the parts if the checkpoint has one of these formats; return its name."""
    for name, (recognise, put) in COMPUTED.items():
        prefix = recognise(parts)
        if format == name and prefix is None:
            parts.fail(f"is not in the format {name!r}")
        if format in (None, name) and prefix is not None:
            put(parts, prefix)
            return name
    return None


def _prefix(parts: Parts, *names: str) -> str | None:
    """The prefix common to all the names, if there is one."""
    for entry in parts.checkpoint.arrays:
        if components(entry)[-1] == names[0]:
            prefix = entry[: len(entry) - len(names[0])]
            if all(parts.has(prefix + name) for name in names):
                return prefix
    return None


# lowrank_inference: x ← x + a (-x + W φ(x + b) + W_xh u),  ŷ = W_hy φ_out(x)


def _is_lowrank(parts: Parts) -> str | None:
    prefix = _prefix(parts, "wrec", "wi", "si", "wo", "so")
    return _prefix(parts, "m", "n", "wi", "si", "wo", "so") if prefix is None else prefix


def _put_lowrank(parts: Parts, prefix: str) -> None:
    scaled = not parts.has(prefix + "wrec")
    _put_lowrank_weights(parts, prefix, scaled)
    if not scaled and not parts.has(prefix + "b"):
        parts.fail(
            "has wrec but no b, as FullRankRNNScaled saves it, which unlike FullRankRNN divides by "
            "N_h; divide wrec and wo yourself and give arrays"
        )
    parts.stated["form"] = "current"
    parts.assumed["activation"] = "tanh"
    parts.unstated["leak"] = "alpha"
    parts.checkpoint.notes.append(
        "assumed output_non_linearity = non_linearity, the default of lowrank_inference"
    )


def _put_lowrank_weights(parts: Parts, prefix: str, scaled: bool) -> None:
    """W_hh = m nᵀ / N_h or wrec; W_xh = (si wi)ᵀ; W_hy = (wo so)ᵀ, over N_h with low rank."""
    n_hidden = len(parts.entry(prefix + "wi").T)
    per_unit, over = (n_hidden, " / N_h") if scaled else (1, "")
    if parts.has(prefix + "wrec"):
        parts.put("W_hh", prefix + "wrec")
    else:
        W_hh = parts.product(parts.entry(prefix + "m"), parts.entry(prefix + "n").T) / per_unit
        parts.put_computed("W_hh", W_hh, f"{prefix}m {prefix}nᵀ{over}")
    W_xh = parts.entry(prefix + "wi").T * parts.entry(prefix + "si")
    parts.put_computed("W_xh", W_xh, f"{prefix}wiᵀ · {prefix}si")
    W_hy = (parts.entry(prefix + "wo") * parts.entry(prefix + "so")).T / per_unit
    parts.put_computed("W_hy", W_hy, f"({prefix}wo · {prefix}so)ᵀ{over}")
    parts.put("h_0", prefix + "h0")
    if parts.has(prefix + "b") and parts.entry(prefix + "b").any():
        parts.fail(
            "has a bias b that is not 0. It acts inside the activation of the recurrent input but "
            "not of the readout, which no schurscope.Cell does"
        )


# neuralrnn: a folder with config.json


def _is_neuralrnn(parts: Parts) -> str | None:
    if parts.checkpoint.config:
        return ""
    return _prefix_of_linear(parts)


def _prefix_of_linear(parts: Parts) -> str | None:
    for entry in parts.checkpoint.arrays:
        if components(entry)[-2:] == ["h2h", "weight"]:
            return entry[: -len("h2h.weight")]
    return None


def _put_neuralrnn(parts: Parts, prefix: str) -> None:
    config = parts.checkpoint.config
    model = config.get("model_type", "ctrnn")
    if model == "lowrank_rnn":
        _put_neuralrnn_lowrank(parts, config)
        return
    if model not in _CTRNN:
        parts.fail(f"is a {model}; supported neuralrnn models: {', '.join(_CTRNN)}, lowrank_rnn")
    put_layout(parts, _LINEAR, prefix)
    _apply_dale_and_masks(parts, prefix)
    mode = config.get("nonlinearity_mode", "pre_activation")
    if mode == "rate":
        parts.fail(
            "has nonlinearity_mode 'rate', which reads out the currents themselves; the current "
            "form here reads out φ of them"
        )
    if not config:
        parts.assumed["activation"] = "relu"
        parts.unstated["leak"] = "alpha"
        return
    leak = _alpha(parts, config)
    activation = str(config.get("activation")).lower()
    parts.stated |= {"activation": activation, "form": "rate", "output": "identity"}
    parts.stated["leak"] = leak if mode == "pre_activation" else 1.0
    if mode == "post_blend" and leak != 1:
        _fold_leak(parts, leak)
    if config.get("sigma_rec"):
        parts.checkpoint.notes.append(
            f"the training noise, sigma_rec = {config['sigma_rec']}, is left out, as in eval()"
        )


def _alpha(parts: Parts, config: dict[str, Any]) -> float:
    try:
        return real_number(config.get("alpha"), "alpha")
    except (TypeError, ValueError) as error:
        parts.fail(f"has a config.json whose {error}")


def _apply_dale_and_masks(parts: Parts, prefix: str) -> None:
    """W_hh = |W| · diag(sign) with Dale's law, and zeros where the masks are 0."""
    arrays, mapped = parts.arrays, parts.mapped
    if parts.has(prefix + "rec_mask"):
        arrays["W_hh"] = arrays["W_hh"] * parts.entry(prefix + "rec_mask")
        mapped["W_hh"] += " · rec_mask"
    if parts.has(prefix + "dale_mask"):
        arrays["W_hh"] = parts.product(np.abs(arrays["W_hh"]), parts.entry(prefix + "dale_mask"))
        mapped["W_hh"] = f"|{mapped['W_hh']}| dale_mask"
    for part, mask in (("W_xh", "in_mask"), ("W_hy", "out_mask")):
        if parts.has(prefix + mask):
            arrays[part] = arrays[part] * parts.entry(prefix + mask).T
            mapped[part] += f" · {mask}ᵀ"
    readout, n_hidden = arrays.get("W_hy"), len(arrays["W_hh"])
    if readout is not None and readout.shape[1] < n_hidden:  # excitatory units come first
        missing = n_hidden - readout.shape[1]
        arrays["W_hy"] = np.pad(readout, ((0, 0), (0, missing)))
        mapped["W_hy"] += f", 0 for the last {missing} units"


def _fold_leak(parts: Parts, leak: float) -> None:
    """φ((1-a) h + a (W h + …)) is the rate form without leak of (1-a) I + a W."""
    arrays, mapped = parts.arrays, parts.mapped
    for part in ("W_hh", "W_xh", "b_h"):
        if part in arrays:
            arrays[part] = arrays[part] * arrays[part].dtype.type(leak)
            mapped[part] = f"{leak:g} ({mapped[part]})"
    eye = np.eye(len(arrays["W_hh"]), dtype=arrays["W_hh"].dtype)
    arrays["W_hh"] = arrays["W_hh"] + eye * arrays["W_hh"].dtype.type(1 - leak)
    mapped["W_hh"] += f" + {1 - leak:g} I"
    parts.checkpoint.notes.append(
        "nonlinearity_mode 'post_blend' puts the leak inside the activation: the recurrent matrix "
        f"is {mapped['W_hh']}, with leak 1, and its moduli order the blocks"
    )


def _put_neuralrnn_lowrank(parts: Parts, config: dict[str, Any]) -> None:
    activation, output, mode = (
        str(config.get(name)).lower()
        for name in ("activation", "output_activation", "nonlinearity_mode")
    )
    if mode != "rate" or activation != output:
        parts.fail(
            f"has nonlinearity_mode {mode!r}, activation {activation!r} and "
            f"output_activation {output!r}; only 'rate' with two equal activations is supported"
        )
    _put_lowrank_weights(parts, "", bool(config.get("scale_by_hidden_size", True)))
    leak = _alpha(parts, config)
    parts.stated |= {"activation": activation, "form": "current", "leak": leak}


# nnRNN: h = φ(U x + h P (UppT ∘ M + D) Pᵀ), M strictly upper, D of 2×2 blocks α R(θ)


def _is_nnrnn(parts: Parts) -> str | None:
    return _prefix(parts, "UppT", "P", "theta_0", "alpha_0", "U.weight")


def _put_nnrnn(parts: Parts, prefix: str) -> None:
    P, upper = parts.entry(prefix + "P"), parts.entry(prefix + "UppT")
    n_blocks = len(P) // 2
    theta, alpha = (
        np.array([parts.entry(f"{prefix}{name}_{i}").item() for i in range(n_blocks)], P.dtype)
        for name in ("theta", "alpha")
    )
    blocks = np.zeros_like(P)
    even = np.arange(0, len(P), 2)
    blocks[even, even] = blocks[even + 1, even + 1] = alpha * np.cos(theta)
    blocks[even + 1, even] = alpha * np.sin(theta)
    blocks[even, even + 1] = -blocks[even + 1, even]
    rec = parts.product(parts.product(P, np.triu(upper, 1) + blocks), P.T)
    parts.put_computed("W_hh", rec.T, f"({prefix}P (UppT ∘ M + α D(θ)) Pᵀ)ᵀ")
    parts.put("W_xh", prefix + "U.weight")
    parts.put("b_h", prefix + "U.bias")
    # Only the first half of the thetas is used; P is computed from log_P.
    unneeded = [f"{prefix}theta_{i}" for i in range(n_blocks, len(P))] + [prefix + "log_P"]
    parts.used.update(name for name in unneeded if parts.has(name))
    if parts.has(prefix + "nonlinearity.b"):
        parts.fail("has the activation modrelu, which schurscope.Cell does not have")


_Recognise = Callable[[Parts], str | None]
_Put = Callable[[Parts, str], None]

COMPUTED: dict[str, tuple[_Recognise, _Put]] = {
    "neuralrnn": (_is_neuralrnn, _put_neuralrnn),
    "lowrank": (_is_lowrank, _put_lowrank),
    "nnrnn": (_is_nnrnn, _put_nnrnn),
}
