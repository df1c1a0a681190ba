"""Ablations and training steps of GRU and LSTM by PyTorch, on one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .problems import Array, TrainingProblem
from .timing import RNN, Entry

if TYPE_CHECKING:
    from .gated import GatedProblem

torch.set_num_threads(1)
MODULES: dict[str, Any] = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


def ablations(problem: GatedProblem) -> list[Entry]:
    """All return the squared error (ablations, trials)."""
    network, trials = problem.network, problem.trials
    matrices, W_xh, W_hy = map(_tensor, (problem.W, network.W_xh, network.W_hy))
    n_hidden, n_trials = network.n_hidden, problem.n_trials
    first = [_tensor(a) for a in (trials.inputs, trials.targets)]
    by_steps = [a.transpose(0, 1).contiguous() for a in first]
    by_units = [a.permute(1, 2, 0).contiguous() for a in first]

    def module(batch_first: bool) -> Array:
        layer = MODULES[problem.kind](
            network.n_inputs, n_hidden, bias=False, batch_first=batch_first
        )
        x, y = first if batch_first else by_steps
        axes = (1, 2) if batch_first else (0, 2)
        errors = []
        layer.weight_ih_l0.copy_(W_xh)
        for matrix in matrices:
            layer.weight_hh_l0.copy_(matrix)
            errors.append(((layer(x)[0] @ W_hy.T - y) ** 2).sum(axes))
        return torch.stack(errors).numpy()

    def loop(chunk: int) -> Array:
        """States (units, trials), one mm per step for all gates."""
        errors = torch.empty(len(matrices), n_trials)
        for begin in range(0, n_trials, chunk):
            part = slice(begin, begin + chunk)
            driven = W_xh @ by_units[0][..., part]
            for matrix, error in zip(matrices, errors[:, part], strict=True):
                h = torch.zeros(n_hidden, chunk)
                c = torch.zeros_like(h)
                total = torch.zeros(network.n_outputs, chunk)
                for u, y in zip(driven, by_units[1][..., part], strict=True):
                    if problem.kind == "gru":
                        product = torch.mm(matrix, h)
                        gates = (product[: 2 * n_hidden] + u[: 2 * n_hidden]).sigmoid_()
                        r, z = gates.split(n_hidden)
                        n = torch.addcmul(u[2 * n_hidden :], r, product[2 * n_hidden :]).tanh_()
                        h = torch.lerp(n, h, z)
                    else:
                        product = torch.addmm(u, matrix, h)
                        i, f, g, o = product.split(n_hidden)
                        c = f.sigmoid_().mul_(c).addcmul_(i.sigmoid_(), g.tanh_())
                        h = o.sigmoid_() * torch.tanh(c)
                    difference = torch.mm(W_hy, h).sub_(y)
                    total.addcmul_(difference, difference)
                torch.sum(total, 0, out=error)
        return errors.numpy()

    chunk = min(128, n_trials)
    entries: list[Entry] = [
        (RNN, "steps first", lambda: module(batch_first=False)),
        (RNN, "batch first", lambda: module(batch_first=True)),
        ("PyTorch", "mm, units × trials", lambda: loop(n_trials)),
        ("PyTorch", f"the same, {chunk} at a time", lambda: loop(chunk)),
    ]
    return [(owner, how, torch.inference_mode()(run)) for owner, how, run in entries]


def trainings(problem: TrainingProblem) -> list[Entry]:
    """All return the loss of every batch."""
    network = problem.network
    inputs, targets = map(torch.from_numpy, problem.batches())

    def module(**options: bool) -> Array:
        rnn = MODULES[problem.kind](network.n_inputs, network.n_hidden, bias=False)
        readout = torch.nn.Linear(network.n_hidden, network.n_outputs, bias=False)
        parameters = [rnn.weight_hh_l0, rnn.weight_ih_l0, readout.weight]
        with torch.no_grad():
            for parameter, start in zip(
                parameters, (network.W_hh, network.W_xh, network.W_hy), strict=True
            ):
                parameter.copy_(_tensor(start))
        adam = torch.optim.Adam(parameters, lr=problem.learning_rate, **options)
        losses = []
        for x, y in zip(inputs, targets, strict=True):
            adam.zero_grad()
            loss = torch.nn.functional.mse_loss(readout(rnn(x)[0]), y)
            loss.backward()
            adam.step()
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return [
        (RNN, "foreach Adam", lambda: module(foreach=True)),
        (RNN, "fused Adam", lambda: module(fused=True)),
    ]


def _tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.array(array))
