"""pycog: x ← x + a (-x + Wrec φ(x) + brec + Win u),  z = ψ(Wout φ(x) + bout),  a = dt / τ.

Source: frsong/pycog, rnn.py, euler.py and sgd.py: its pickles, or an .npz of an RNN's attributes.
"""

from __future__ import annotations

import numpy as np

from ..parts import Parts

__all__ = ["is_pycog", "put_pycog"]

_ORDER = ("Win", "Wrec", "Wout", "brec", "bout", "x0")
"""Of the parameters in the pickle's best.params."""

_ACTIVATIONS = {"rectify": "relu", "linear": "identity"}
_THRESHOLD = 1e-4
"""Smaller weights are 0 in pycog's RNN."""


def is_pycog(parts: Parts) -> str | None:
    """The prefix of its entries, or None."""
    prefix = parts.prefix_of("Wrec", "Win", "Wout", "x0")
    if prefix is None and parts.prefix_of("best.params.1", "best.params.2") == "":
        return "best.params."
    return prefix


def put_pycog(parts: Parts, prefix: str) -> None:
    """Fill the parts; the leak, if the file has it, and the names of φ and ψ."""
    is_pickle = prefix == "best.params."
    names = {name: prefix + (str(_ORDER.index(name)) if is_pickle else name) for name in _ORDER}
    settings = "params." if is_pickle else prefix
    parts.put("b_h", names["brec"])
    parts.put("b_y", names["bout"])
    parts.put("h_0", names["x0"])
    threshold = parts.number(f"{settings}threshold")
    threshold = _THRESHOLD if threshold is None and is_pickle else threshold or 0
    for part, name in (("W_hh", "Wrec"), ("W_xh", "Win"), ("W_hy", "Wout")):
        parts.put(part, names[name])
        if part in parts.arrays and part not in parts.keys:
            array = parts.arrays[part]
            parts.arrays[part] = np.where(np.abs(array) < threshold, array.dtype.type(0), array)
    if threshold:
        parts.checkpoint.notes.append(f"weights below {threshold:g} are 0, as in pycog's RNN")
    parts.stated["form"] = "current"
    _state_leak(parts, settings)
    for field, default in (("activation", "rectify"), ("output", "linear")):
        key = "hidden_activation" if field == "activation" else "output_activation"
        stated = parts.text(settings + key)
        if stated == "softmax" and field == "output":
            parts.checkpoint.warnings.append("the outputs are logits: pycog's softmax is left out")
            stated = "linear"
        if stated is not None:
            parts.stated[field] = _ACTIVATIONS.get(stated, stated)
        else:
            parts.assumed[field] = _ACTIVATIONS[default]
    baseline = parts.number(f"{settings}baseline_in")
    if baseline or parts.number(f"{settings}rectify_inputs"):
        parts.checkpoint.warnings.append(
            f"pycog adds baseline_in = {baseline or 0:g} to the inputs and may rectify them: give "
            "inputs that contain it"
        )
    if is_pickle:
        every = {*parts.checkpoint.arrays}
        parts.used.update(n for n in every if not n.startswith("best.params."))


def _state_leak(parts: Parts, settings: str) -> None:
    dt, tau = parts.number(f"{settings}dt"), parts.number(f"{settings}tau")
    if dt is not None and tau:
        parts.state_leak(dt / tau, f"dt / tau = {dt:g} / {tau:g}")
    elif dt is not None and parts.has(f"{settings}tau"):
        taus = parts.entry(f"{settings}tau")
        parts.state_leak(dt / np.where(taus == 0, np.inf, taus), "dt / tau")
    else:
        parts.unstated["leak"] = "dt / tau"
