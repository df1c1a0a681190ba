"""spikeRNN: x ← (1 - 1/τ) x + (W φ(x) + w_in u) / τ,  W = (w m) ∘ som_m,  o = w_out φ(x) + b_out.

Source: rkim35/spikeRNN, rate/main.py and rate/model.py, whose .mat files these are. Each unit's
τ = taus[0] + (taus[1] - taus[0]) sigmoid(taus_gaus), or taus[0] for all, in steps of DeltaT = 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..._internal.files import Array
from ..parts import Parts

__all__ = ["is_spikernn", "put_spikernn"]

_CLIPPED = 20.0


def is_spikernn(parts: Parts) -> str | None:
    """The prefix of its entries, or None."""
    return parts.prefix_of("som_m", "w", "m", "w_in", "w_out", "taus")


def put_spikernn(parts: Parts, prefix: str) -> None:
    """Fill the parts. The saved w is rectified where Dale's law holds."""

    def entry(name: str) -> Array:
        return parts.entry(prefix + name)

    from scipy.special import expit

    W = parts.scaled(parts.product(entry("w"), entry("m")), entry("som_m"))
    parts.put_computed("W_hh", W, f"({prefix}w {prefix}m) ∘ {prefix}som_m")
    parts.put("W_xh", f"{prefix}w_in")
    parts.put("W_hy", f"{prefix}w_out")
    if parts.has(f"{prefix}b_out"):
        parts.put_computed("b_y", entry("b_out").reshape(-1), f"{prefix}b_out")
    parts.stated["form"] = "current"
    parts.stated["output"] = "identity"
    taus = entry("taus").reshape(-1)
    if taus.size == 1:
        parts.state_leak(1 / taus[0] if taus[0] else 0.0, f"1 / taus = 1 / {taus[0]:g}")
    elif taus.size == 2 and parts.has(f"{prefix}taus_gaus"):
        low, high = taus
        tau = low + (high - low) * expit(entry("taus_gaus").reshape(-1).astype(float))
        parts.state_leak(1 / tau, f"1 / τ, τ between {low:g} and {high:g} by taus_gaus")
    else:
        parts.fail(f"has {taus.size} taus, expected 1, or 2 and taus_gaus")
    if "leak" in parts.stated:
        parts.used.update(n for n in (f"{prefix}taus_gaus",) if parts.has(n))
    _state_activation(parts, prefix)
    history = {"x", "r", "o", "u", "target", "losses", "tr", "N", "som_N", "exc", "inh", "x0", "r0"}
    history |= {"w0", "w_in0", "taus_gaus0", "eval_os", "eval_labels"}
    history |= {"eval_perf_mean", "eval_loss_mean"}
    parts.used.update(prefix + name for name in history if parts.has(prefix + name))
    parts.checkpoint.notes.append(
        "noise of the states (σ 0.1) and the random initial state are left out, as is the limit of "
        f"{_CLIPPED:g} on rates that are not sigmoids"
    )


def _state_activation(parts: Parts, prefix: str) -> None:
    """The file keeps the currents x and rates r of its last trial: they tell the activation."""
    from scipy.special import expit

    functions: dict[str, Callable[[Array], Array]] = {
        "sigmoid": expit,
        "softplus": lambda x: np.minimum(np.logaddexp(x, 0), _CLIPPED),
        "relu": lambda x: np.clip(x, 0, _CLIPPED),
    }
    if parts.has(f"{prefix}x") and parts.has(f"{prefix}r"):
        x, r = parts.entry(f"{prefix}x"), parts.entry(f"{prefix}r")
        fitting = [
            name
            for name, function in functions.items()
            if x.shape == r.shape and x.size and np.allclose(function(x), r, atol=1e-5)
        ]
        if len(fitting) == 1:  # currents far below 0 fit them all
            parts.stated["activation"] = fitting[0]
            parts.checkpoint.notes.append(f"activation={fitting[0]!r}, which takes its x to its r")
    parts.assumed["activation"] = "sigmoid"
