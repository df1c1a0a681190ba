"""Ablations and training steps by JAX, compiled as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .problems import AblationProblem, Array, TrainingProblem
from .timing import Entry

jax.config.update("jax_enable_x64", True)
AT_ONCE = 4  # the fastest: the states of more leave the cache


def ablations(problem: AblationProblem, W: Array) -> list[Entry]:
    """All return the squared error (ablations, trials)."""
    matrices = jnp.asarray(W)
    W_xh, W_hy = jnp.asarray(problem.network.W_xh), jnp.asarray(problem.network.W_hy)
    trials, n_hidden = problem.trials, problem.network.n_hidden
    at_once = math.gcd(len(W), AT_ONCE)
    by_rows = tuple(jnp.asarray(problem.rows(a)) for a in (trials.inputs, trials.targets))
    by_columns = tuple(jnp.asarray(problem.columns(a)) for a in (trials.inputs, trials.targets))

    def rows(W_hh: jax.Array, data: tuple[jax.Array, jax.Array]) -> jax.Array:
        def step(state: Any, xy: Any) -> Any:
            h, total = state
            h = jnp.tanh(h @ W_hh.T + xy[0] @ W_xh.T)
            return (h, total + (h @ W_hy.T - xy[1]) ** 2), None

        start = (jnp.zeros((trials.n_trials, n_hidden), W.dtype), jnp.zeros_like(data[1][0]))
        return jax.lax.scan(step, start, data)[0][1].sum(axis=1)

    def columns(W_hh: jax.Array, data: tuple[jax.Array, jax.Array]) -> jax.Array:
        def step(state: Any, xy: Any) -> Any:
            h, total = state
            h = jnp.tanh(W_hh @ h + W_xh @ xy[0])
            return (h, total + (W_hy @ h - xy[1]) ** 2), None

        start = (jnp.zeros((n_hidden, trials.n_trials), W.dtype), jnp.zeros_like(data[1][0]))
        return jax.lax.scan(step, start, data)[0][1].sum(axis=0)

    def joined(W_hh: jax.Array, data: tuple[jax.Array, jax.Array]) -> jax.Array:
        """As `columns`, with the inputs below the state, so that a step is one product."""
        W_and_W_xh = jnp.concatenate([W_hh, W_xh], axis=1)

        def step(state: Any, xy: Any) -> Any:
            h, total = state
            h = jnp.tanh(W_and_W_xh @ jnp.concatenate([h, xy[0]]))
            return (h, total + (W_hy @ h - xy[1]) ** 2), None

        start = (jnp.zeros((n_hidden, trials.n_trials), W.dtype), jnp.zeros_like(data[1][0]))
        return jax.lax.scan(step, start, data)[0][1].sum(axis=0)

    def mapped(one: Callable[..., jax.Array], data: Any) -> Callable[[], Array]:
        run = jax.jit(lambda Ws, d: jax.lax.map(lambda W_hh: one(W_hh, d), Ws))
        return lambda: np.asarray(run(matrices, data))

    def vectorised(one: Callable[..., jax.Array], data: Any) -> Callable[[], Array]:
        run = jax.jit(jax.vmap(one, in_axes=(0, None)))
        return lambda: np.asarray(run(matrices, data))

    def some_at_a_time(one: Callable[..., jax.Array], data: Any) -> Callable[[], Array]:
        some = matrices.reshape(-1, at_once, n_hidden, n_hidden)
        run = jax.jit(lambda Ws, d: jax.lax.map(lambda W: jax.vmap(one, (0, None))(W, d), Ws))
        return lambda: np.asarray(run(some, data)).reshape(len(W), -1)

    def one_by_one(one: Callable[..., jax.Array], data: Any) -> Callable[[], Array]:
        run = jax.jit(one)
        separate = list(matrices)
        return lambda: np.array([run(matrix, data) for matrix in separate])

    return [
        ("JAX", "map, trials × units", mapped(rows, by_rows)),
        ("JAX", "map, units × trials", mapped(columns, by_columns)),
        ("JAX", "map, units and inputs × trials", mapped(joined, by_columns)),
        ("JAX", "vmap, trials × units", vectorised(rows, by_rows)),
        ("JAX", f"vmap, {at_once} at a time, trials × units", some_at_a_time(rows, by_rows)),
        ("JAX", "each by itself, trials × units", one_by_one(rows, by_rows)),
    ]


def pairs(problem: AblationProblem, left: Array, right: Array) -> list[Entry]:
    """As `ablations`, of W_hh - left @ right (pairs, N_h, 2), (pairs, 2, N_h); W_hh is shared."""
    network, n_trials = problem.network, problem.trials.n_trials
    W_hh, W_xh, W_hy = map(jnp.asarray, (network.W_hh, network.W_xh, network.W_hy))
    data = tuple(
        jnp.asarray(problem.rows(a)) for a in (problem.trials.inputs, problem.trials.targets)
    )

    def one(factors: tuple[jax.Array, jax.Array]) -> jax.Array:
        U, V = factors

        def step(state: Any, xy: Any) -> Any:
            h, total = state
            h = jnp.tanh(h @ W_hh.T - (h @ V.T) @ U.T + xy[0] @ W_xh.T)
            return (h, total + (h @ W_hy.T - xy[1]) ** 2), None

        start = (jnp.zeros((n_trials, network.n_hidden), W_hh.dtype), jnp.zeros_like(data[1][0]))
        return jax.lax.scan(step, start, data)[0][1].sum(axis=1)

    at_once = math.gcd(len(left), AT_ONCE)
    some = tuple(jnp.asarray(a).reshape(-1, at_once, *a.shape[1:]) for a in (left, right))
    each = tuple(map(jnp.asarray, (left, right)))
    mapped = jax.jit(lambda all_pairs: jax.lax.map(one, all_pairs))
    vectorised = jax.jit(lambda all_pairs: jax.lax.map(jax.vmap(one), all_pairs))
    return [
        ("JAX", "W_hh and two ranks, map", lambda: np.asarray(mapped(each))),
        (
            "JAX",
            f"W_hh and two ranks, vmap, {at_once} at a time",
            lambda: np.asarray(vectorised(some)).reshape(len(left), -1),
        ),
    ]


def trainings(problem: TrainingProblem) -> list[Entry]:
    """All return the loss of every batch."""
    network = problem.network
    weights = tuple(jnp.asarray(a) for a in (network.W_hh, network.W_xh, network.W_hy))
    n_hidden, batch_size = network.n_hidden, problem.batch_size
    by_rows = tuple(map(jnp.asarray, problem.batches()))
    by_columns = tuple(jnp.asarray(array.swapaxes(2, 3).copy()) for array in problem.batches())

    def rows(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        W_hh, W_xh, W_hy = parameters

        def step(h: jax.Array, x_t: jax.Array) -> Any:
            h = jnp.tanh(h @ W_hh.T + x_t @ W_xh.T)
            return h, h

        states = jax.lax.scan(step, jnp.zeros((batch_size, n_hidden), y.dtype), x)[1]
        return jnp.mean((states @ W_hy.T - y) ** 2)

    def rows_joined(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        W_hh, W_xh, W_hy = parameters
        W_and_W_xh = jnp.concatenate([W_hh, W_xh], axis=1).T

        def step(state: Any, xy: Any) -> Any:
            h, total = state
            h = jnp.tanh(jnp.concatenate([h, xy[0]], axis=1) @ W_and_W_xh)
            return (h, total + jnp.sum((h @ W_hy.T - xy[1]) ** 2)), None

        start = (jnp.zeros((batch_size, n_hidden), y.dtype), jnp.zeros((), y.dtype))
        return jax.lax.scan(step, start, (x, y))[0][1] / y.size

    def columns(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        W_hh, W_xh, W_hy = parameters

        def step(state: Any, xy: Any) -> Any:
            h, total = state
            h = jnp.tanh(W_hh @ h + W_xh @ xy[0])
            return (h, total + jnp.sum((W_hy @ h - xy[1]) ** 2)), None

        start = (jnp.zeros((n_hidden, batch_size), y.dtype), jnp.zeros((), y.dtype))
        return jax.lax.scan(step, start, (x, y))[0][1] / y.size

    found: list[Entry] = []
    for loss, how, data in (
        (rows, "trials × units", by_rows),
        (rows_joined, "trials × units and inputs", by_rows),
        (columns, "units × trials", by_columns),
    ):
        found += [
            ("JAX", f"{calls}, {how}", run)
            for calls, run in optimised(loss, weights, data, problem.learning_rate)
        ]
    return found


def optimised(
    loss: Callable[..., jax.Array], weights: Any, data: Any, learning_rate: float
) -> list[tuple[str, Callable[[], Array]]]:
    """Adam on the batches of `data`; both return the loss of every batch."""

    def step(state: Any, batch: Any) -> Any:
        parameters, first, second, k = state
        value, gradient = jax.value_and_grad(loss)(parameters, *batch)
        k = k + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
        parameters = jax.tree.map(
            lambda p, m, v: (
                p - learning_rate * (m / (1 - 0.9**k)) / (jnp.sqrt(v / (1 - 0.999**k)) + 1e-8)
            ),
            parameters,
            first,
            second,
        )
        return (parameters, first, second, k), value

    def fresh() -> Any:
        zeros = [jax.tree.map(jnp.zeros_like, weights) for _ in range(2)]
        return jax.tree.map(jnp.copy, weights), *zeros, jnp.float32(0)

    by_step = jax.jit(step, donate_argnums=0)
    batches = list(zip(*data, strict=True))
    all_steps = jax.jit(lambda state, d: jax.lax.scan(step, state, d), donate_argnums=0)

    def call_per_step() -> Array:
        state, losses = fresh(), []
        for batch in batches:
            state, value = by_step(state, batch)
            losses.append(value)
        jax.block_until_ready(state)
        return np.array(losses)

    def one_call() -> Array:
        return np.asarray(jax.block_until_ready(all_steps(fresh(), data))[1])

    return [("a call per step", call_per_step), ("all steps in a call", one_call)]


def tanh(x: Array) -> Callable[[], Array]:
    source = jnp.asarray(x)
    run = jax.jit(jnp.tanh)
    return lambda: np.asarray(jax.block_until_ready(run(source)))
