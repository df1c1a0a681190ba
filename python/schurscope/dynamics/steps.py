"""One step of a network from many states, and its Jacobian: one function for each kind of cell.

Everything is in float64, the transposed weights acting on rows of states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import FloatArray, shown
from ..networks.network import Network

__all__ = ["Step", "StepFunction", "noiseless", "state_size", "step_of", "trajectory"]

_Float64: TypeAlias = npt.NDArray[np.float64]
_Int64: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Step:
    """One step from n states h_(t-1) with inputs x_t.

    The state of an LSTM, of D = 2 N_h numbers, is h followed by c; of other cells, D = N_h.

    Attributes
    ----------
    state : (n, D)
        h_t.
    jacobian : callable
        Returns ∂h_t/∂h_(t-1): (n, D, D). Row: unit of h_t, column: unit of h_(t-1).
    kinks : (n,) int64
        Number of units whose relu has the argument 0 exactly, where the slope is taken as 0.
    """

    state: _Float64
    jacobian: Callable[[], _Float64]
    kinks: _Int64


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
    kind = network.cell.kind
    return _STEPS[network.cell.form if kind == "vanilla" else kind](network)


def state_size(network: Network) -> int:
    """D: 2 N_h for an LSTM, whose state is (h, c), else N_h."""
    return network.n_hidden * (2 if network.cell.kind == "lstm" else 1)


def trajectory(network: Network, h: _Float64, x: _Float64) -> _Float64:
    """The states before each step: (trials, steps, D) from starts (trials, D) and inputs."""
    states = np.empty((*x.shape[:2], h.shape[1]))
    if network.cell.kind != "lstm":
        states[:, 0], states[:, 1:] = h, network.states(x, h_0=h)[:, :-1]
        return states
    step = step_of(network)  # the core returns no c_t
    for t in range(x.shape[1]):
        states[:, t] = h
        h = step(h, x[:, t]).state
    return states


def _rate(network: Network) -> StepFunction:
    """The step h' = (1 - a) ∘ h + a ∘ φ(u),   u = W_hh h + W_xh x + b_h."""
    W_hh, W_xh, b_h, leak = _parts(network)

    def step(h: _Float64, x: _Float64) -> Step:
        u = h @ W_hh.T + x @ W_xh.T + b_h
        rates = _activated(network.cell.activation, u)
        slopes = _SLOPES[network.cell.activation](rates)

        def jacobian() -> _Float64:
            return _plus_diagonal((leak * slopes)[:, :, None] * W_hh, 1 - leak)

        return Step((1 - leak) * h + leak * rates, jacobian, _kinks(network, u))

    return step


def _current(network: Network) -> StepFunction:
    """The step h' = (1 - a) ∘ h + a ∘ (W_hh φ(h) + W_xh x + b_h)."""
    W_hh, W_xh, b_h, leak = _parts(network)

    def step(h: _Float64, x: _Float64) -> Step:
        rates = _activated(network.cell.activation, h)
        slopes = _SLOPES[network.cell.activation](rates)
        drive = rates @ W_hh.T + x @ W_xh.T + b_h

        def jacobian() -> _Float64:
            return _plus_diagonal(leak[:, None] * W_hh * slopes[:, None, :], 1 - leak)

        return Step((1 - leak) * h + leak * drive, jacobian, _kinks(network, h))

    return step


def _gru(network: Network) -> StepFunction:
    """The step h' = (1 - z) ∘ n + z ∘ h, with the reset after or before the product; see `Cell`."""
    W = {name: gate.W_hh for name, gate in network.gates.items()}
    b_hn = 0.0 if network.b_hn is None else network.b_hn
    before = network.cell.reset == "before"

    def step(h: _Float64, x: _Float64) -> Step:
        drive = _drives(network, x)
        r, z = (_activated("sigmoid", drive[gate] + h @ W[gate].T) for gate in "rz")
        product = (r * h if before else h) @ W["n"].T + (0.0 if before else b_hn)
        n = _activated("tanh", drive["n"] + (product if before else r * product))

        def jacobian() -> _Float64:
            by_r = _rows(r * (1 - r), W["r"])
            if before:
                of_n = W["n"] @ _plus_diagonal(_rows(h, by_r), r)
            else:
                of_n = _rows(product, by_r) + _rows(r, W["n"])
            slopes = _rows((1 - z) * (1 - n * n), of_n) + _rows((h - n) * z * (1 - z), W["z"])
            return _plus_diagonal(slopes, z)

        return Step((1 - z) * n + z * h, jacobian, _no_kinks(h))

    return step


def _lstm(network: Network) -> StepFunction:
    """The step c' = f ∘ c + i ∘ g, h' = o ∘ tanh(c') of the state (h, c); see `Cell`."""
    W = {name: gate.W_hh for name, gate in network.gates.items()}
    n_hidden = network.n_hidden

    def step(state: _Float64, x: _Float64) -> Step:
        h, c = state[:, :n_hidden], state[:, n_hidden:]
        drive = _drives(network, x)
        i, f, o = (_activated("sigmoid", drive[gate] + h @ W[gate].T) for gate in "ifo")
        g = _activated("tanh", drive["g"] + h @ W["g"].T)
        c_next = f * c + i * g
        squashed = _activated("tanh", c_next)

        def jacobian() -> _Float64:
            c_by_h = (
                _rows(c * f * (1 - f), W["f"])
                + _rows(g * i * (1 - i), W["i"])
                + _rows(i * (1 - g * g), W["g"])
            )
            passed = o * (1 - squashed * squashed)  # ∂h'/∂c'
            J = np.zeros((len(h), 2 * n_hidden, 2 * n_hidden))
            J[:, :n_hidden, :n_hidden] = _rows(squashed * o * (1 - o), W["o"])
            J[:, :n_hidden, :n_hidden] += _rows(passed, c_by_h)
            J[:, n_hidden:, :n_hidden] = c_by_h
            _plus_diagonal(J[:, :n_hidden, n_hidden:], passed * f)
            _plus_diagonal(J[:, n_hidden:, n_hidden:], f)
            return J

        return Step(np.concatenate([o * squashed, c_next], axis=1), jacobian, _no_kinks(h))

    return step


_STEPS: dict[str, Callable[[Network], StepFunction]] = {
    "rate": _rate,
    "current": _current,
    "gru": _gru,
    "lstm": _lstm,
}


def _drives(network: Network, x: _Float64) -> dict[str, _Float64]:
    """W_xh x + b_h of each gate: (n, N_h)."""
    return {
        name: x @ gate.W_xh.T + (0.0 if gate.b_h is None else gate.b_h)
        for name, gate in network.gates.items()
    }


def _parts(network: Network) -> tuple[FloatArray, FloatArray, FloatArray, _Float64]:
    """W_hh, W_xh, b_h and the leak of each unit, (N_h,)."""
    leak = np.broadcast_to(np.asarray(network.cell.leak, np.float64), network.n_hidden)
    return network.W_hh, network.W_xh, network.biases[0], leak


def _activated(activation: str, u: _Float64) -> _Float64:
    """The activation φ(u), as the core has it."""
    u = np.ascontiguousarray(u)
    rates = np.empty_like(u)
    _core.activate(activation, u.ravel(), rates.ravel())
    return rates


def _kinks(network: Network, u: _Float64) -> _Int64:
    if network.cell.activation != "relu":
        return _no_kinks(u)
    at_kink: _Int64 = (u == 0).sum(axis=1, dtype=np.int64)
    return at_kink


def _no_kinks(h: _Float64) -> _Int64:
    return np.zeros(len(h), dtype=np.int64)


def _rows(factors: _Float64, matrix: FloatArray) -> _Float64:
    """diag(factors) @ matrix of each state: (n, N_h) and (N_h, D) or (n, N_h, D)."""
    scaled: _Float64 = factors[:, :, None] * matrix
    return scaled


def _plus_diagonal(matrices: _Float64, diagonal: _Float64) -> _Float64:
    """The matrices (n, D, D), to whose diagonals (D,) or (n, D) is added in place."""
    place = np.arange(matrices.shape[1])
    matrices[:, place, place] += diagonal
    return matrices
