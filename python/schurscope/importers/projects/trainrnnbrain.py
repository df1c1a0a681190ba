"""trainRNNbrain: y ← y + a (-y + φ(s (W_rec y + W_inp u + b)) - γ y³),  ŷ = W_out y,  a = dt / τ.

Source: engellab/trainRNNbrain, rnns/RNN_torch.py, whose get_params its DataSaver writes as JSON.
"""

from __future__ import annotations

from ..parts import Parts

__all__ = ["is_trainrnnbrain", "put_trainrnnbrain"]

_MASKS = ("dale_mask", "input_mask", "recurrent_mask", "output_mask")


def is_trainrnnbrain(parts: Parts) -> str | None:
    """The prefix of its entries, or None."""
    return parts.prefix_of("W_inp", "W_rec", "W_out", "y_init")


def put_trainrnnbrain(parts: Parts, prefix: str) -> None:
    """Fill the parts; a slope s of the activation is a factor of its argument."""
    gamma = parts.number(f"{prefix}gamma") or 0
    if gamma:
        parts.fail(f"has gamma = {gamma:g}, a cubic damping -gamma y³ that no schurscope.Cell has")
    name = parts.text(f"{prefix}activation_args.name") or parts.text(f"{prefix}activation_name")
    if name is not None:
        parts.stated["activation"] = name
    beta = parts.number(f"{prefix}activation_args.beta")
    if name == "softplus" and beta not in (None, 1):
        parts.fail(f"has a softplus of beta = {beta:g}; schurscope's has beta = 1")
    slope = parts.number(f"{prefix}activation_args.slope")
    for part, names in (("W_hh", ["W_rec"]), ("W_xh", ["W_inp"]), ("b_h", ["bias_rec", "bias"])):
        parts.put(part, *(prefix + entry for entry in names))
        if slope not in (None, 1) and part in parts.arrays and part not in parts.keys:
            parts.arrays[part] = parts.arrays[part] * parts.arrays[part].dtype.type(slope)
            parts.mapped[part] = f"{slope:g} {parts.mapped[part]}"
    parts.put("W_hy", f"{prefix}W_out")
    parts.put("h_0", f"{prefix}y_init")
    parts.used.update(f"{prefix}{mask}" for mask in _MASKS if parts.has(prefix + mask))
    parts.number(f"{prefix}N")
    dt, tau = parts.number(f"{prefix}dt"), parts.number(f"{prefix}tau")
    if dt is None or tau is None:
        parts.unstated["leak"] = "dt / tau"
    else:
        parts.state_leak(dt / tau if tau else 0, f"dt / tau = {dt:g} / {tau:g}")
    parts.stated["form"] = "rate"
    parts.assumed["activation"] = "relu"
    parts.checkpoint.notes.append(
        "trainRNNbrain reads out y before it takes the input of a step: its outputs at one step "
        "are those at the step before here, and its first is W_out y_init"
    )
