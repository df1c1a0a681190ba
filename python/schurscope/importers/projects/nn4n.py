"""nn4n: v ← (1 - a) v + a (W φ(v) + b_h + W_in u + b_in),  ŷ = W_out φ(v) + b_out,  a = dt / τ.

Source: nn4n 1.1, model/ctrnn.py and layer/recurrent_layer.py. Its save() writes the state dict and
the arguments of the constructor, ``kwargs``.
"""

from __future__ import annotations

from ..layouts import Layout, put_layout
from ..parts import Parts

__all__ = ["is_nn4n", "put_nn4n"]

_LAYOUT = Layout(
    "nn4n",
    "recurrent_layer.hidden_layer.weight",
    "recurrent_layer.input_layer.weight",
    ("recurrent_layer.input_layer.bias", "recurrent_layer.hidden_layer.bias"),
    "readout_layer.weight",
    "readout_layer.bias",
    "recurrent_layer.hidden_state",
)
_DT, _TAU, _ACTIVATION = 10.0, 100.0, "relu"
"""The constructor's defaults."""


def is_nn4n(parts: Parts) -> str | None:
    """The prefix of its entries, or None."""
    return parts.prefix_of(_LAYOUT.W_hh, _LAYOUT.W_xh)


def put_nn4n(parts: Parts, prefix: str) -> None:
    """Fill the parts; without kwargs the caller has to give the leak."""
    put_layout(parts, _LAYOUT, prefix)
    parts.stated["form"] = "current"
    parts.stated["output"] = "identity"
    kwargs = f"{prefix.removesuffix('model_state_dict.')}kwargs."
    known = {*parts.checkpoint.arrays, *parts.checkpoint.skipped}
    given = [name for name in known if name.startswith(kwargs)]
    if not given:
        parts.unstated["leak"] = "dt / tau"
        parts.assumed["activation"] = _ACTIVATION
        return
    dt = _DT if (number := parts.number(f"{kwargs}dt")) is None else number
    tau = _TAU if (number := parts.number(f"{kwargs}tau")) is None else number
    is_default = not {f"{kwargs}dt", f"{kwargs}tau"} <= set(given)
    parts.state_leak(
        dt / tau if tau else 0.0,
        f"dt / tau = {dt:g} / {tau:g}" + (" with nn4n's defaults" if is_default else ""),
    )
    parts.stated["activation"] = parts.text(f"{kwargs}activation") or _ACTIVATION
    parts.used.update(name for name in given if parts.has(name))
