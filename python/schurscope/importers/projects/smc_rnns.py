"""smc_rnns, py_rnn: x ← (1 - a) x + a (W φ(x) + s_in w_inpᵀ u),  y = s_out w_outᵀ φ(x).

a = dt / τ. With low rank W = m n / N and y is over N too. Source: mackelab/smc_rnns,
py_rnn/model.py and py_rnn/train.py, whose save_rnn writes NAME_state_dict.pkl, by torch.save, and
NAME_params.pkl.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..._internal.files import Array
from ..formats.checkpoint import Checkpoint
from ..formats.pickles import read_pickle
from ..parts import Parts, by_keys

__all__ = ["is_smc_rnns", "put_smc_rnns"]


def is_smc_rnns(parts: Parts) -> str | None:
    """The prefix of its entries, or None."""
    for recurrent in ("m", "w_rec"):
        prefix = parts.prefix_of(recurrent, "w_inp", "w_inp_scale", "w_out", "w_out_scale")
        if prefix is not None:
            return prefix
    return None


def put_smc_rnns(parts: Parts, prefix: str) -> None:
    """Fill the parts; dt, τ and φ stand in the file of the parameters, if that is beside it."""
    settings = _settings(parts)
    n_hidden = parts.entry(f"{prefix}w_inp").shape[1]
    is_low_rank = parts.has(f"{prefix}m")
    per_unit, over = (n_hidden, " / N_h") if is_low_rank else (1, "")
    scale = parts.entry(f"{prefix}w_inp_scale")
    W_xh = parts.scaled(parts.entry(f"{prefix}w_inp"), scale).T
    parts.put_computed("W_xh", W_xh, f"({prefix}w_inp · {prefix}w_inp_scale)ᵀ")
    scale = parts.entry(f"{prefix}w_out_scale")
    W_hy = parts.scaled(parts.entry(f"{prefix}w_out"), scale).T / per_unit
    parts.put_computed("W_hy", W_hy, f"({prefix}w_out · {prefix}w_out_scale)ᵀ{over}")
    if is_low_rank:
        W_hh = parts.product(parts.entry(f"{prefix}m"), parts.entry(f"{prefix}n")) / per_unit
        parts.put_computed("W_hh", W_hh, f"{prefix}m {prefix}n{over}")
    else:
        parts.put("W_hh", f"{prefix}w_rec")
        _refuse_masks(parts, prefix, settings)
    parts.put("h_0", f"{prefix.removesuffix('rnn.')}x0")
    _bias(parts, f"{prefix}b_rec", is_low_rank)
    parts.stated |= {"form": "current", "output": "identity"}
    parts.assumed["activation"] = "relu"
    activation = settings.texts.get("nonlinearity") if settings else None
    if activation is not None:
        parts.stated["activation"] = activation
    _state_leak(parts, prefix, settings)


def _settings(parts: Parts) -> Checkpoint | None:
    """The parameters in NAME_params.pkl, read as data, or in the same source."""
    if "nonlinearity" in parts.checkpoint.texts:
        return parts.checkpoint
    state = Path(parts.checkpoint.origin)
    path = state.with_name(state.name.replace("_state_dict", "_params"))
    if path == state or not path.is_file():
        return None
    parts.checkpoint.notes.append(f"dt, tau_lims and nonlinearity are from {path.name}")
    return read_pickle(path)


def _refuse_masks(parts: Parts, prefix: str, settings: Checkpoint | None) -> None:
    masks = [
        name
        for name in ("dale_mask", "conn_mask")
        if settings is not None
        and name in {**settings.arrays, **settings.skipped}
        and not settings.skipped.get(name, "").startswith("NoneType")
    ]
    if masks and "W_hh" not in parts.keys:
        parts.fail(
            f"has {' and '.join(masks)} in its parameters, a pickled tensor, which is never "
            f"loaded; add it to the source as an array and name the masked matrix, such as "
            f"{by_keys(W_hh=f'(relu({prefix}w_rec) @ dale_mask) * conn_mask')}"
        )


def _bias(parts: Parts, name: str, is_low_rank: bool) -> None:
    if not parts.has(name):
        return
    if is_low_rank and parts.entry(name).any():
        parts.fail(
            f"has a bias {name} that is not 0. It acts inside the activation of the recurrent "
            "input but not of the readout, which no schurscope.Cell does"
        )
    parts.used.add(name)
    if not is_low_rank:
        parts.checkpoint.notes.append(f"{name} is left out, as the full-rank RNNCell never adds it")


def _state_leak(parts: Parts, prefix: str, settings: Checkpoint | None) -> None:
    name = f"{prefix}taus_gaus"
    gaus = parts.entry(name).reshape(-1) if parts.has(name) else None
    dt = settings.numbers.get("dt") if settings is not None else None
    limits: Array | None = settings.arrays.get("tau_lims") if settings is not None else None
    if dt is None or limits is None or limits.size not in (1, 2):
        tau = f" / {gaus[0]:g}, its taus_gaus" if gaus is not None and gaus.size == 1 else ""
        parts.unstated["leak"] = f"dt{tau or ' / tau_lims[0]'}"
        return
    low, high = limits.reshape(-1)[[0, -1]]
    if gaus is None or limits.size == 1:
        parts.state_leak(dt / low if low else 0.0, f"dt / tau_lims[0] = {dt:g} / {low:g}")
        return
    assert settings is not None
    kind, x = settings.texts.get("project_taus"), gaus.astype(float)
    if kind == "sigmoid":
        from scipy.special import expit

        tau = low + (high - low) * expit(x)
    else:
        tau = np.exp(x) + low if kind == "exp" else np.clip(x, low, high)
    parts.state_leak(dt / tau, f"dt / τ, τ between {low:g} and {high:g} by taus_gaus")
