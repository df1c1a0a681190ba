"""Ablations and training steps of GRU and LSTM by JAX, compiled as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .peers_jax import AT_ONCE, optimised
from .problems import TrainingProblem
from .timing import Entry

if TYPE_CHECKING:
    from .gated import GatedProblem


def ablations(problem: GatedProblem) -> list[Entry]:
    """All return the squared error (ablations, trials)."""
    matrices, trials = jnp.asarray(problem.W), problem.trials
    W_xh, W_hy = jnp.asarray(problem.network.W_xh), jnp.asarray(problem.network.W_hy)
    by_rows, by_columns = (
        tuple(jnp.asarray(a.transpose(axes)) for a in (trials.inputs, trials.targets))
        for axes in ((1, 0, 2), (1, 2, 0))
    )
    at_once = math.gcd(len(matrices), AT_ONCE)

    def errors_of(axis: int, data: Any) -> Callable[[jax.Array], jax.Array]:
        step_of = _steps(problem.kind, axis)

        def errors(W_hh: jax.Array) -> jax.Array:
            def step(carried: Any, xy: Any) -> Any:
                state, total = carried
                state = step_of(W_hh, W_xh, state, xy[0])
                return (state, total + (_times(W_hy, state[0], axis) - xy[1]) ** 2), None

            start = _zeros(axis, problem.n_trials, problem.n_hidden)
            carried = (start, jnp.zeros_like(data[1][0]))
            return jax.lax.scan(step, carried, data)[0][1].sum(axis=axis)

        return errors

    found: list[Entry] = []
    for axis, how, data in ((1, "trials × units", by_rows), (0, "units × trials", by_columns)):
        one = errors_of(axis, data)
        mapped = jax.jit(lambda Ws, one=one: jax.lax.map(one, Ws))
        grouped = jax.jit(lambda Ws, one=one: jax.lax.map(jax.vmap(one), Ws))
        each = jax.jit(one)
        some = matrices.reshape(-1, at_once, *matrices.shape[1:])
        found += [
            ("JAX", f"map, {how}", lambda run=mapped: np.asarray(run(matrices))),
            (
                "JAX",
                f"vmap, {at_once} at a time, {how}",
                lambda run=grouped, some=some: np.asarray(run(some)).reshape(len(matrices), -1),
            ),
            (
                "JAX",
                f"each by itself, {how}",
                lambda run=each: np.array([run(matrix) for matrix in matrices]),
            ),
        ]
    return found


def trainings(problem: TrainingProblem) -> list[Entry]:
    """All return the loss of every batch."""
    network = problem.network
    weights = tuple(jnp.asarray(a) for a in (network.W_hh, network.W_xh, network.W_hy))
    by_rows = tuple(map(jnp.asarray, problem.batches()))
    by_columns = tuple(jnp.asarray(array.swapaxes(2, 3).copy()) for array in problem.batches())
    found: list[Entry] = []
    for axis, how, data in ((1, "trials × units", by_rows), (0, "units × trials", by_columns)):

        def loss(parameters: Any, x: jax.Array, y: jax.Array, axis: int = axis) -> jax.Array:
            W_hh, W_xh, W_hy = parameters
            step_of = _steps(problem.kind, axis)

            def step(state: Any, x_t: jax.Array) -> Any:
                state = step_of(W_hh, W_xh, state, x_t)
                return state, _times(W_hy, state[0], axis)

            start = _zeros(axis, problem.batch_size, network.n_hidden)
            return jnp.mean((jax.lax.scan(step, start, x)[1] - y) ** 2)

        found += [
            ("JAX", f"{calls}, {how}", run)
            for calls, run in optimised(loss, weights, data, problem.learning_rate)
        ]
    return found


def _times(W: jax.Array, state: jax.Array, axis: int) -> jax.Array:
    """W times the units, which lie along `axis`."""
    return state @ W.T if axis else W @ state


def _zeros(axis: int, n_trials: int, n_hidden: int) -> tuple[jax.Array, jax.Array]:
    zeros = jnp.zeros((n_trials, n_hidden) if axis else (n_hidden, n_trials), jnp.float32)
    return zeros, zeros


def _steps(kind: str, axis: int) -> Callable[..., tuple[jax.Array, jax.Array]]:
    def gru(W_hh: jax.Array, W_xh: jax.Array, state: Any, x: jax.Array) -> Any:
        h, c = state
        u, d = _times(W_hh, h, axis), _times(W_xh, x, axis)
        (u_r, u_z, u_n), (d_r, d_z, d_n) = (jnp.split(a, 3, axis=axis) for a in (u, d))
        r, z = jax.nn.sigmoid(u_r + d_r), jax.nn.sigmoid(u_z + d_z)
        n = jnp.tanh(d_n + r * u_n)
        return n + z * (h - n), c

    def lstm(W_hh: jax.Array, W_xh: jax.Array, state: Any, x: jax.Array) -> Any:
        h, c = state
        z = _times(W_hh, h, axis) + _times(W_xh, x, axis)
        i, f, g, o = jnp.split(z, 4, axis=axis)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    return {"gru": gru, "lstm": lstm}[kind]
