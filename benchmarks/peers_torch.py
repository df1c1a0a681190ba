"""Ablations and training steps by PyTorch, on one thread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from .problems import AblationProblem, Array, TrainingProblem
from .timing import RNN, Entry

torch.set_num_threads(1)


def ablations(problem: AblationProblem, W: Array) -> list[Entry]:
    """All return the squared error (ablations, trials)."""
    network, n_trials = problem.network, problem.trials.n_trials
    n_hidden, n_inputs = network.n_hidden, network.n_inputs
    chunk = min(128, n_trials)
    matrices, W_xh, W_hy = map(_tensor, (W, network.W_xh, network.W_hy))
    x_rows, y_rows = (
        _tensor(problem.rows(a)) for a in (problem.trials.inputs, problem.trials.targets)
    )
    x_columns, y_columns = (
        _tensor(problem.columns(a)) for a in (problem.trials.inputs, problem.trials.targets)
    )
    rnn = torch.nn.RNN(n_inputs, n_hidden, bias=False, dtype=matrices.dtype)
    x_first, y_first = x_rows.transpose(0, 1).contiguous(), y_rows.transpose(0, 1).contiguous()
    rnn_first = torch.nn.RNN(n_inputs, n_hidden, bias=False, batch_first=True, dtype=matrices.dtype)

    def module(
        layer: torch.nn.RNN, x: torch.Tensor, y: torch.Tensor, axes: tuple[int, int]
    ) -> Array:
        errors = []
        layer.weight_ih_l0.copy_(W_xh)
        for matrix in matrices:
            layer.weight_hh_l0.copy_(matrix)
            errors.append(((layer(x)[0] @ W_hy.T - y) ** 2).sum(axes))
        return torch.stack(errors).numpy()

    def columns(chunk: int) -> Array:
        """States (units, trials), one addmm per step."""
        errors = torch.empty(len(matrices), n_trials, dtype=matrices.dtype)
        summed = torch.empty(n_hidden, chunk, dtype=matrices.dtype)
        for first in range(0, n_trials, chunk):
            part = slice(first, first + chunk)
            driven = W_xh @ x_columns[..., part]
            for matrix, error in zip(matrices, errors[:, part], strict=True):
                state = torch.zeros_like(summed)
                total = torch.zeros(network.n_outputs, chunk, dtype=matrices.dtype)
                for u, y in zip(driven, y_columns[..., part], strict=True):
                    torch.addmm(u, matrix, state, out=summed)
                    torch.tanh(summed, out=state)
                    difference = torch.mm(W_hy, state).sub_(y)
                    total.addcmul_(difference, difference)
                torch.sum(total, 0, out=error)
        return errors.numpy()

    def stacked(chunk: int) -> Array:
        """States (ablations, units, trials), one baddbmm per step."""
        errors = torch.empty(len(matrices), n_trials, dtype=matrices.dtype)
        summed = torch.empty(len(matrices), n_hidden, chunk, dtype=matrices.dtype)
        for first in range(0, n_trials, chunk):
            part = slice(first, first + chunk)
            driven = W_xh @ x_columns[..., part]
            state = torch.zeros_like(summed)
            total = torch.zeros(len(matrices), network.n_outputs, chunk, dtype=matrices.dtype)
            for u, y in zip(driven, y_columns[..., part], strict=True):
                torch.baddbmm(u, matrices, state, out=summed)
                torch.tanh(summed, out=state)
                difference = (W_hy @ state).sub_(y)
                total.addcmul_(difference, difference)
            torch.sum(total, 1, out=errors[:, part])
        return errors.numpy()

    entries: list[Entry] = [
        (RNN, "steps first", lambda: module(rnn, x_rows, y_rows, (0, 2))),
        (RNN, "batch first", lambda: module(rnn_first, x_first, y_first, (1, 2))),
        ("PyTorch", "addmm, units × trials", lambda: columns(n_trials)),
        ("PyTorch", f"the same, {chunk} at a time", lambda: columns(chunk)),
        ("PyTorch", "baddbmm, ablations × units × trials", lambda: stacked(n_trials)),
        ("PyTorch", f"the same, {chunk} at a time", lambda: stacked(chunk)),
    ]
    return [(owner, how, torch.inference_mode()(run)) for owner, how, run in entries]


def pairs(problem: AblationProblem, left: Array, right: Array) -> list[Entry]:
    """As `ablations`, of W_hh - left @ right (pairs, N_h, 2), (pairs, 2, N_h); W_hh is shared."""
    network, n_trials, n_pairs = problem.network, problem.trials.n_trials, len(left)
    W_hh, W_xh, W_hy, U, V = map(_tensor, (network.W_hh, network.W_xh, network.W_hy, left, right))
    x, y = (_tensor(problem.columns(a)) for a in (problem.trials.inputs, problem.trials.targets))

    @torch.inference_mode()
    def flat(chunk: int) -> Array:
        """States (units, pairs · trials): one mm for all pairs, and two bmm of two ranks."""
        errors = torch.empty(n_pairs, n_trials, dtype=W_hh.dtype)
        state, summed = torch.empty(2, network.n_hidden, n_pairs * chunk, dtype=W_hh.dtype)
        split = (-1, n_pairs, chunk)
        states, sums = (a.view(split).transpose(0, 1) for a in (state, summed))
        for first in range(0, n_trials, chunk):
            part = slice(first, first + chunk)
            driven = (W_xh @ x[..., part])[:, :, None]
            state.zero_()
            total = torch.zeros(network.n_outputs, n_pairs, chunk, dtype=W_hh.dtype)
            for u, target in zip(driven, y[:, :, None, part], strict=True):
                torch.mm(W_hh, state, out=summed)
                sums.baddbmm_(U, torch.bmm(V, states), alpha=-1)
                summed.view(split).add_(u)
                torch.tanh(summed, out=state)
                difference = torch.mm(W_hy, state).view(split).sub_(target)
                total.addcmul_(difference, difference)
            torch.sum(total, 0, out=errors[:, part])
        return errors.numpy()

    some = min(n_trials, max(32, 4096 // n_pairs))  # so that states stay in the cache
    return [
        ("PyTorch", "W_hh and two ranks, mm", lambda: flat(n_trials)),
        ("PyTorch", f"the same, {some} trials at a time", lambda: flat(some)),
    ]


def trainings(problem: TrainingProblem, *, compiled: bool) -> list[Entry]:
    """All return the loss of every batch."""
    network = problem.network
    inputs, targets = map(torch.from_numpy, problem.batches())

    def module(**options: bool) -> Array:
        rnn = torch.nn.RNN(network.n_inputs, network.n_hidden, bias=False)
        readout = torch.nn.Linear(network.n_hidden, network.n_outputs, bias=False)
        parameters = [rnn.weight_hh_l0, rnn.weight_ih_l0, readout.weight]
        with torch.no_grad():
            for parameter, start in zip(
                parameters, (network.W_hh, network.W_xh, network.W_hy), strict=True
            ):
                parameter.copy_(_tensor(start))
        return descend(
            parameters,
            lambda x, y: torch.nn.functional.mse_loss(readout(rnn(x)[0]), y),
            **options,
        )

    def loop_loss(
        W_hh: torch.Tensor, W_xh: torch.Tensor, W_hy: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> torch.Tensor:
        driven = x @ W_xh.T
        states = [torch.tanh(driven[0])]
        for t in range(1, problem.n_steps):
            states.append(torch.tanh(torch.addmm(driven[t], states[-1], W_hh.T)))
        return torch.nn.functional.mse_loss(torch.stack(states) @ W_hy.T, y)

    def loop(loss: Callable[..., torch.Tensor]) -> Array:
        parameters = [
            _tensor(start).requires_grad_() for start in (network.W_hh, network.W_xh, network.W_hy)
        ]
        return descend(parameters, lambda x, y: loss(*parameters, x, y), fused=True)

    def descend(
        parameters: list[torch.Tensor],
        loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        **options: bool,
    ) -> Array:
        adam = torch.optim.Adam(parameters, lr=problem.learning_rate, **options)
        losses = []
        for x, y in zip(inputs, targets, strict=True):
            adam.zero_grad()
            loss = loss_of(x, y)
            loss.backward()
            adam.step()
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    entries: list[Entry] = [
        (RNN, "foreach Adam", lambda: module(foreach=True)),
        (RNN, "fused Adam", lambda: module(fused=True)),
        ("PyTorch", "a loop of addmm, fused Adam", lambda: loop(loop_loss)),
    ]
    if compiled:
        compiled_loss = torch.compile(loop_loss)
        entries.append(("PyTorch", "the same, torch.compile", lambda: loop(compiled_loss)))
    return entries


def tanh(x: Array) -> Callable[[], Array]:
    source = torch.from_numpy(x)
    out = torch.empty_like(source)

    @torch.inference_mode()
    def run() -> Array:
        return torch.tanh(source, out=out).numpy()

    return run


def _tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.array(array))
