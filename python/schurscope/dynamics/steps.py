"""One step of a network from many states, and its Jacobian: one function for each kind of cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import FloatArray, shown
from ..networks.network import Network

__all__ = ["Step", "StepFunction", "noiseless", "step_of"]

_Float64: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """h_t and ∂h_t/∂h_(t-1) at n states h_(t-1) with inputs x_t.

    Attributes
    ----------
    state : (n, D)
        h_t.
    jacobian : (n, D, D)
        Row: unit of h_t, column: unit of h_(t-1).
    kinks : (n,) int64
        Number of units whose relu has the argument 0 exactly, where the slope is taken as 0.
    """

    state: _Float64
    jacobian: _Float64
    kinks: npt.NDArray[np.int64]


StepFunction: TypeAlias = Callable[[_Float64, _Float64], Step]
"""h (n, D), x (n, N_x) → the step."""

_SLOPES: dict[str, Callable[[_Float64], _Float64]] = {
    "tanh": lambda y: 1 - y * y,
    "relu": lambda y: (y > 0).astype(np.float64),
    "softplus": lambda y: -np.expm1(-y),
    "sigmoid": lambda y: y * (1 - y),
    "identity": np.ones_like,
}
"""φ' as a function of y = φ(x), as in the core."""


def noiseless(network: Network) -> Network:
    """The network in float64, which is exact, and without noise; TypeError if it is none."""
    if not isinstance(network, Network):
        raise TypeError(f"network must be a schurscope.Network, got {shown(network)}")
    return replace(network.astype(np.float64), cell=replace(network.cell, noise=0.0))


def step_of(network: Network) -> StepFunction:
    """The step of a network in float64, without noise."""
    return _STEPS[network.cell.form](network)


def _rate(network: Network) -> StepFunction:
    """The step h' = (1 - a) ∘ h + a ∘ φ(u),   u = W_hh h + W_xh x + b_h."""
    W_hh, W_xh, b_h, leak = _parts(network)

    def step(h: _Float64, x: _Float64) -> Step:
        u = h @ W_hh.T + x @ W_xh.T + b_h
        rates, slopes = _activated(network, u)
        jacobian = (leak * slopes)[:, :, None] * W_hh
        _add_diagonal(jacobian, 1 - leak)
        return Step((1 - leak) * h + leak * rates, jacobian, _kinks(network, u))

    return step


def _current(network: Network) -> StepFunction:
    """The step h' = (1 - a) ∘ h + a ∘ (W_hh φ(h) + W_xh x + b_h)."""
    W_hh, W_xh, b_h, leak = _parts(network)

    def step(h: _Float64, x: _Float64) -> Step:
        rates, slopes = _activated(network, h)
        jacobian = leak[:, None] * W_hh * slopes[:, None, :]
        _add_diagonal(jacobian, 1 - leak)
        drive = rates @ W_hh.T + x @ W_xh.T + b_h
        return Step((1 - leak) * h + leak * drive, jacobian, _kinks(network, h))

    return step


_STEPS: dict[str, Callable[[Network], StepFunction]] = {"rate": _rate, "current": _current}


def _parts(network: Network) -> tuple[FloatArray, FloatArray, FloatArray, _Float64]:
    """W_hh, W_xh, b_h and the leak of each unit, (N_h,)."""
    leak = np.broadcast_to(np.asarray(network.cell.leak, np.float64), network.n_hidden)
    return network.W_hh, network.W_xh, network.biases[0], leak


def _activated(network: Network, u: _Float64) -> tuple[_Float64, _Float64]:
    """φ(u) and φ'(u)."""
    u = np.ascontiguousarray(u)
    rates = np.empty_like(u)
    _core.activate(network.cell.activation, u.ravel(), rates.ravel())
    return rates, _SLOPES[network.cell.activation](rates)


def _kinks(network: Network, u: _Float64) -> npt.NDArray[np.int64]:
    if network.cell.activation != "relu":
        return np.zeros(len(u), dtype=np.int64)
    at_kink: npt.NDArray[np.int64] = (u == 0).sum(axis=1, dtype=np.int64)
    return at_kink


def _add_diagonal(jacobian: _Float64, diagonal: _Float64) -> None:
    place = np.arange(jacobian.shape[1])
    jacobian[:, place, place] += diagonal
