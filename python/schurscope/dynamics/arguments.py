"""States and constant inputs that callers give, and samples of them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, generator, positive_int, real_array
from ..networks.network import Network
from .steps import state_size

__all__ = ["inputs_at", "inputs_of_conditions", "sampled", "states_given"]

_Float64: TypeAlias = npt.NDArray[np.float64]


def states_given(network: Network, states: npt.ArrayLike, name: str) -> _Float64:
    """States as (n, D), from (n, D) or (trials, steps, D)."""
    leading = ("trials", "steps") if np.ndim(states) == 3 else ("n",)
    size = state_size(network)
    because = f"W_hh has shape {network.W_hh.shape}"
    because += (
        " and the state is h followed by c, as in jacobians(network, inputs).states"
        if size > network.n_hidden
        else ""
    )
    given = real_array(states, name, (*leading, size), because=because)
    return given.astype(np.float64).reshape(-1, size)


def inputs_at(network: Network, states: npt.ArrayLike, inputs: npt.ArrayLike | None) -> _Float64:
    """The input at each state, (n, N_x); given one for all, (N_x,), or None, which means 0."""
    leading = np.shape(states)[:-1]
    if inputs is None or np.ndim(inputs) == 1:
        (row,) = inputs_of_conditions(network, inputs)
        return np.tile(row, (int(np.prod(leading)), 1))
    because = f"states has shape {np.shape(states)} and W_xh {network.W_xh.shape}"
    given = real_array(inputs, "inputs", (*leading, network.n_inputs), because=because)
    return given.astype(np.float64).reshape(-1, network.n_inputs)


def inputs_of_conditions(network: Network, inputs: npt.ArrayLike | None) -> _Float64:
    """Constant inputs, (conditions, N_x); given one, (N_x,), or None, which means 0."""
    if inputs is None:
        return np.zeros((1, network.n_inputs))
    leading = ("conditions",) if np.ndim(inputs) == 2 else ()
    because = f"W_xh has shape {network.W_xh.shape}"
    given = real_array(inputs, "inputs", (*leading, network.n_inputs), because=because)
    return np.atleast_2d(given.astype(np.float64))


def sampled(n: int, count: int | None, name: str, rng: Rng) -> npt.NDArray[np.int64]:
    """`count` of n places in order, drawn without replacement; all if None, or if no more."""
    if count is None or positive_int(count, name) >= n:
        return np.arange(n)
    return np.sort(generator(rng).choice(n, count, replace=False))
