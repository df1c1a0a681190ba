"""GRU and LSTM: ablations of their gates and training steps, on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import schurscope as ss
from schurscope import _core
from schurscope.ablation.batch import Places
from schurscope.coordinates.sectors import Sectors

from .environment import installed
from .problems import Array, TrainingProblem
from .timing import GFLOPS, MS_PER_STEP, OURS, Comparison, Contender, Entry

KINDS = ("gru", "lstm")
WANTED = "3 × torch.nn, 1.3 × JAX"
WANTED_TRAINING = "3 × torch.nn, 1.5 × JAX"
TOLERANCE = 5e-4
COUPLINGS = ("RR", "CR", "CC")


@dataclass(frozen=True)
class GatedProblem:
    """Rollouts of one gated network without and with seven ablations of its gates."""

    kind: str
    n_trials: int
    n_hidden: int = 64
    n_steps: int = 50
    network: ss.Network = field(init=False)
    trials: ss.Trials = field(init=False)
    schurs: list[ss.OrderedSchur] = field(init=False)
    batches: list[Places] = field(init=False)
    """Of each gate."""
    W: Array = field(init=False)
    """(ablations, G N_h, N_h): the ablated matrices."""

    def __post_init__(self) -> None:
        task = ss.tasks.FlipFlop(n_steps=self.n_steps)
        network = ss.init_network(task, self.n_hidden, rng=0, cell=self.kind)
        gates = network.gates
        schurs = [ss.ordered_schur(gate.W_hh.astype(np.float64)) for gate in gates.values()]
        first, last = network.cell.gates[0], network.cell.gates[-1]
        named: list[dict[str, str]] = [{}, {first: "CR"}, {last: "CR"}, {last: "RR+CC"}]
        named += [{first: "CC", last: "CR"}]
        named += [dict.fromkeys(gates, coupling) for coupling in COUPLINGS]
        batches, matrices = [], []
        for schur, gate in zip(schurs, gates, strict=True):
            names = [couplings.get(gate, "") for couplings in named]
            sectors = schur.sectors(0.9)
            batches.append(Places.of([_ablation(name, sectors) for name in names]))
            removed = [set(name.split("+")) if name else set() for name in names]
            matrices.append([schur.ablated(names, alpha=0.9) for names in removed])
        W = np.concatenate(matrices, axis=1).astype(np.float32)
        for name, value in {
            "network": network,
            "trials": task.trials(self.n_trials, rng=1, dtype=np.float32),
            "schurs": schurs,
            "batches": batches,
            "W": W,
        }.items():
            object.__setattr__(self, name, value)

    @property
    def gflop(self) -> float:
        """Useful work: 2 G N_h² per trial, step and ablation."""
        return 2e-9 * self.W.size * self.n_trials * self.n_steps

    def ablate(self) -> Array:
        """Squared error (ablations, trials), with the Schur forms and ablations given."""
        trials, n_ablations = self.trials, len(self.W)
        sums = np.empty((n_ablations, self.n_trials)), np.empty((n_ablations, self.n_steps))
        _core.run_ablations(
            self.network.core_arguments(),
            [(schur.Q, schur.T) for schur in self.schurs],
            [batch.core_arguments() for batch in self.batches],
            (trials.inputs, trials.targets, trials.step_weights, None, None),
            "squared_error",
            sums,
            1,
        )
        return sums[0]

    def reference(self) -> Array:
        """The same in float64, as plainly as can be."""
        inputs, targets = (a.astype(np.float64) for a in (self.trials.inputs, self.trials.targets))
        W_xh, W_hy = (a.astype(np.float64) for a in (self.network.W_xh, self.network.W_hy))
        errors = np.zeros((len(self.W), self.n_trials))
        for W, error in zip(self.W.astype(np.float64), errors, strict=True):
            h = c = np.zeros((self.n_trials, self.n_hidden))
            for t in range(self.n_steps):
                x = np.split(inputs[:, t] @ W_xh.T, len(self.schurs), axis=1)
                u = np.split(h @ W.T, len(self.schurs), axis=1)
                if self.kind == "gru":
                    r, z = (_logistic(x[k] + u[k]) for k in range(2))
                    h = (1 - z) * np.tanh(x[2] + r * u[2]) + z * h
                else:
                    i, f, o = (_logistic(x[k] + u[k]) for k in (0, 1, 3))
                    c = f * c + i * np.tanh(x[2] + u[2])
                    h = o * np.tanh(c)
                error += ((h @ W_hy.T - targets[:, t]) ** 2).sum(axis=1)
        return errors


def comparisons(quick: bool) -> Iterator[Comparison]:
    for kind in KINDS:
        problem = GatedProblem(kind, 64 if quick else 512)
        yield Comparison(
            f"ablations, {kind}, float32, N_h {problem.n_hidden}, {len(problem.W)} ablations",
            GFLOPS,
            list(_ablations(problem)),
            WANTED,
        )
    for kind in KINDS:
        training = TrainingProblem(n_batches=8 if quick else 64, kind=kind)
        yield Comparison(
            f"training step, {kind}, float32, N_h {training.n_hidden}, "
            f"batch {training.batch_size}, {training.n_steps} steps",
            MS_PER_STEP,
            list(_trainings(training)),
            WANTED_TRAINING,
        )


def _ablations(problem: GatedProblem) -> Iterator[Contender]:
    expected = problem.reference()

    def check(errors: Array) -> None:
        np.testing.assert_allclose(errors, expected, rtol=TOLERANCE)

    entries: list[Entry] = [(OURS, "run_ablations", problem.ablate)]
    if installed("torch"):
        from . import gated_torch

        entries += gated_torch.ablations(problem)
    if installed("jax"):
        from . import gated_jax

        entries += gated_jax.ablations(problem)
    for owner, how, run in entries:
        yield Contender(owner, how, run, check, problem.gflop)


def _trainings(problem: TrainingProblem) -> Iterator[Contender]:
    expected = problem.train()

    def check(losses: Array) -> None:
        # Rounding differs and grows from step to step; a wrong gradient shows at the first.
        np.testing.assert_allclose(losses, expected, rtol=1e-3)

    entries: list[Entry] = [(OURS, "train, its trials made on the way", problem.train)]
    if installed("torch"):
        from . import gated_torch

        entries += gated_torch.trainings(problem)
    if installed("jax"):
        from . import gated_jax

        entries += gated_jax.trainings(problem)
    for owner, how, run in entries:
        yield Contender(owner, how, run, check, problem.n_batches)


def _ablation(name: str, sectors: Sectors) -> ss.Ablation:
    return ss.Ablation.of(name, sectors) if name else ss.Ablation("full", (), ())


def _logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))
