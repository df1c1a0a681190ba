"""smc_rnns, vi_rnn: x ← (1 - a) x + a (W φ(x - h) + Wu u),  y = Bᵀ φ(x - h) + Bias,  a W = m n.

Or y = Bᵀ x + Bias. 1 - a = exp(-exp(decay_param)); x - h is the state here, so b_h = -h. Source:
mackelab/smc_rnns, vi_rnn/rnn.py, with inputs that vary in time (sim_v), and vi_rnn/saving.py, whose
save_model writes NAME_state_dict_rnn.pkl, by torch.save, and NAME_vae_params.pkl.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..formats.checkpoint import Checkpoint
from ..formats.pickles import read_pickle
from ..parts import Parts

__all__ = ["is_vi_rnn", "put_vi_rnn"]

_ACTIVATIONS = ("relu", "tanh", "identity")


def is_vi_rnn(parts: Parts) -> str | None:
    """The prefix of its entries, or None."""
    return parts.prefix_of("transition.m", "transition.n", "transition.h", "observation.B")


def put_vi_rnn(parts: Parts, prefix: str) -> None:
    """Fill the parts; φ and what B reads out stand in the file of the parameters."""
    cell = f"{prefix}transition."
    m, n, h = (parts.entry(cell + name) for name in ("m", "n", "h"))
    decay = parts.entry(f"{cell}decay_param").reshape(-1).astype(np.float64)
    if decay.size != 1:
        parts.fail(f"has a decay for each of its {decay.size} latent variables, expected one")
    leaks = -np.expm1(-np.exp(decay))
    parts.state_leak(leaks, "1 - exp(-exp(decay_param))")
    leak = m.dtype.type(leaks[0])
    parts.put_computed("W_hh", parts.product(m, n) / leak, f"{cell}m {cell}n / leak")
    if parts.has(f"{cell}Wu"):
        parts.put("W_xh", f"{cell}Wu")
    else:
        parts.put_computed("W_xh", np.zeros((len(m), 1), m.dtype), "0: it has no inputs")
    parts.put_computed("b_h", -h.reshape(-1), f"-{cell}h")
    parts.stated |= {"form": "current", "output": "identity"}
    _put_readout(parts, prefix, len(m))
    if parts.has(f"{prefix}initial_state"):
        start = m @ parts.entry(f"{prefix}initial_state").reshape(-1) - h.reshape(-1)
        parts.put_computed("h_0", start, f"{cell}m {prefix}initial_state - {cell}h")
        if parts.has(f"{cell}Wu"):
            parts.checkpoint.notes.append(
                "the part of the initial state that depends on the first input is left out"
            )
    noise = (f"{prefix}{name}" for name in ("R_x", "R_z", "R_z_t0", "transition.AW"))
    parts.used.update(name for name in noise if parts.has(name))


def _put_readout(parts: Parts, prefix: str, n_hidden: int) -> None:
    settings = _settings(parts)
    told = settings.texts if settings is not None else {}
    where = next(
        (f"{name}." for name in ("rnn_params", "prior_params") if f"{name}.activation" in told), ""
    )
    B = parts.entry(f"{prefix}observation.B")
    source = told.get(f"{where}readout_from")
    if len(B) != n_hidden or source in ("z", "z_and_v"):
        parts.fail(
            f"reads out its latent variables, by observation.B {B.shape}; a Network reads out its "
            f"{n_hidden} units"
        )
    if source is None:
        parts.checkpoint.warnings.append(
            "assumed that B reads out the rates, not the currents: no file of parameters says so"
        )
    nonlinearity = told.get(f"{where}out_nonlinearity", "identity")
    if nonlinearity != "identity":
        parts.fail(f"has the out_nonlinearity {nonlinearity}, before its Bias is added")
    activation = told.get(f"{where}activation")
    if activation is not None and activation not in _ACTIVATIONS:
        parts.fail(f"has the activation {activation!r}, which no schurscope.Cell has")
    if activation is not None:
        parts.stated["activation"] = activation
    parts.assumed["activation"] = "relu"
    parts.put_computed("W_hy", B.T, f"{prefix}observation.Bᵀ")
    bias, how = np.zeros(B.shape[1], B.dtype), ""
    if parts.has(f"{prefix}observation.Bias"):
        bias = parts.entry(f"{prefix}observation.Bias").reshape(-1)
        how = f"{prefix}observation.Bias"
    if source == "currents":
        parts.stated["readout"] = "hidden"
        bias = bias + parts.entry(f"{prefix}transition.h").reshape(-1) @ B
        how += f" + {prefix}observation.Bᵀ {prefix}transition.h"
    if how:
        parts.put_computed("b_y", bias, how)


def _settings(parts: Parts) -> Checkpoint | None:
    """The parameters in NAME_vae_params.pkl, read as data."""
    state = Path(parts.checkpoint.origin)
    path = state.with_name(state.name.replace("_state_dict_rnn", "_vae_params"))
    if path == state or not path.is_file():
        return None
    parts.checkpoint.notes.append(f"activation and readout are from {path.name}")
    return read_pickle(path)
