"""Ablations by NumPy: a product per step into a buffer, tanh and the error in place."""

from __future__ import annotations

import numpy as np

from .problems import AblationProblem, Array
from .timing import Entry


def ablations(problem: AblationProblem, W: Array) -> list[Entry]:
    """All return the squared error (ablations, trials)."""
    n_trials = problem.trials.n_trials
    chunk = min(128, n_trials)
    return [
        ("NumPy", "trials × units", lambda: _rows(problem, W)),
        ("NumPy", "units × trials", lambda: _columns(problem, W, n_trials)),
        ("NumPy", f"units × trials, {chunk} at a time", lambda: _columns(problem, W, chunk)),
        ("NumPy", "ablations × units × trials", lambda: _stacked(problem, W, n_trials)),
        ("NumPy", f"the same, {chunk} at a time", lambda: _stacked(problem, W, chunk)),
    ]


def _rows(problem: AblationProblem, W: Array) -> Array:
    """States (trials, units) of all steps; one product each for inputs and readout."""
    network = problem.network
    targets = problem.rows(problem.trials.targets)
    driven = problem.rows(problem.trials.inputs) @ network.W_xh.T
    errors = np.empty((len(W), problem.trials.n_trials))
    states = np.empty_like(driven)
    for W_T, error in zip(np.ascontiguousarray(W.swapaxes(1, 2)), errors, strict=True):
        np.tanh(driven[0], out=states[0])
        for t in range(1, len(states)):
            np.matmul(states[t - 1], W_T, out=states[t])
            states[t] += driven[t]
            np.tanh(states[t], out=states[t])
        difference = states @ network.W_hy.T
        difference -= targets
        np.einsum("tbc,tbc->b", difference, difference, out=error)
    return errors


def _columns(problem: AblationProblem, W: Array, chunk: int) -> Array:
    """States (units, trials) with the inputs below them, so that a step is one product."""
    network, n_hidden = problem.network, problem.network.n_hidden
    inputs, targets = map(problem.columns, (problem.trials.inputs, problem.trials.targets))
    errors = np.empty((len(W), problem.trials.n_trials))
    state = np.empty((n_hidden + network.n_inputs, chunk), problem.dtype)
    summed = np.empty((n_hidden, chunk), problem.dtype)
    W_and_W_xh = [np.concatenate([matrix, network.W_xh], axis=1) for matrix in W]
    for first in range(0, problem.trials.n_trials, chunk):
        part = slice(first, first + chunk)
        for matrix, error in zip(W_and_W_xh, errors[:, part], strict=True):
            total = np.zeros((network.n_outputs, chunk), problem.dtype)
            state[:n_hidden] = 0
            for x, y in zip(inputs[..., part], targets[..., part], strict=True):
                state[n_hidden:] = x
                np.matmul(matrix, state, out=summed)
                np.tanh(summed, out=state[:n_hidden])
                difference = network.W_hy @ state[:n_hidden]
                difference -= y
                difference *= difference
                total += difference
            total.sum(axis=0, out=error)
    return errors


def _stacked(problem: AblationProblem, W: Array, chunk: int) -> Array:
    """States (ablations, units, trials)."""
    network = problem.network
    inputs, targets = map(problem.columns, (problem.trials.inputs, problem.trials.targets))
    errors = np.empty((len(W), problem.trials.n_trials))
    summed = np.empty((len(W), network.n_hidden, chunk), problem.dtype)
    for first in range(0, problem.trials.n_trials, chunk):
        part = slice(first, first + chunk)
        driven = network.W_xh @ inputs[..., part]
        state = np.zeros_like(summed)
        total = np.zeros((len(W), network.n_outputs, chunk), problem.dtype)
        for u, y in zip(driven, targets[..., part], strict=True):
            np.matmul(W, state, out=summed)
            summed += u
            np.tanh(summed, out=state)
            difference = network.W_hy @ state
            difference -= y
            difference *= difference
            total += difference
        total.sum(axis=1, out=errors[:, part])
    return errors
