"""A training step: forward, backward and Adam."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np

from .environment import installed
from .problems import Array, TrainingProblem
from .timing import MS_PER_STEP, OURS, Comparison, Contender, Entry


def comparisons(quick: bool) -> Iterator[Comparison]:
    problem = TrainingProblem(n_batches=8 if quick else 64)
    expected = problem.train()
    assert expected.shape == (problem.n_batches,)

    def check(losses: Array) -> None:
        # Rounding differs and grows from step to step; a wrong gradient shows at the first.
        np.testing.assert_allclose(losses, expected, rtol=1e-3)

    steps = problem.n_batches
    contenders = [
        Contender(OURS, "train, its trials made on the way", problem.train, check, steps),
        Contender(OURS, "the trials alone", problem.trials, lambda _: None, steps),
    ]
    contenders += [
        Contender(owner, how, run, check, steps) for owner, how, run in _peers(problem, quick)
    ]
    yield Comparison(
        f"training step, float32, N_h {problem.n_hidden}, batch {problem.batch_size}, "
        f"{problem.n_steps} steps",
        MS_PER_STEP,
        contenders,
        "5 × nn.RNN, 2.2 × JAX",
    )


def _peers(problem: TrainingProblem, quick: bool) -> list[Entry]:
    entries: list[Entry] = []
    if installed("torch"):
        from . import peers_torch

        # torch.compile takes half a minute, and a C++ compiler.
        compiled = not quick and shutil.which("g++") is not None
        entries += peers_torch.trainings(problem, compiled=compiled)
    if installed("jax"):
        from . import peers_jax

        entries += peers_jax.trainings(problem)
    return entries
