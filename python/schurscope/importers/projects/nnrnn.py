"""nnRNN: h = φ(U x + h P (UppT ∘ M + D) Pᵀ), M strictly upper, D of 2×2 blocks α R(θ).

Source: nnRNN/nnRNN_release, RNN_Cell.py.
"""

from __future__ import annotations

import numpy as np

from ..parts import Parts

__all__ = ["is_nnrnn", "put_nnrnn"]


def is_nnrnn(parts: Parts) -> str | None:
    """The prefix of its entries, or None."""
    return parts.prefix_of("UppT", "P", "theta_0", "alpha_0", "U.weight")


def put_nnrnn(parts: Parts, prefix: str) -> None:
    """Fill the parts."""
    P, upper = parts.entry(prefix + "P"), parts.entry(prefix + "UppT")
    if P.ndim != 2 or len(P) != P.shape[1] or upper.shape != P.shape:
        parts.fail(f"has P {P.shape} and UppT {upper.shape}, expected two square matrices")
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
