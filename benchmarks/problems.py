"""The workloads of all contenders: ablations and training steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import schurscope as ss
from schurscope.ablation.names import SUBSETS

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class AblationProblem:
    """Rollouts of one network under many ablations, and the squared error of every trial.

    All arrays that the peers read are laid out as each likes them, before any clock runs.
    """

    network: ss.Network
    trials: ss.Trials
    schur: ss.OrderedSchur
    ablations: list[ss.Ablation]
    W: Array = field(init=False)
    """(ablations, N_h, N_h): the ablated matrices, made by plain NumPy."""

    def __post_init__(self) -> None:
        Q = self.schur.Q
        matrices = [Q @ ablated_form(self.schur, ablation) @ Q.T for ablation in self.ablations]
        object.__setattr__(self, "W", np.array(matrices, self.network.dtype))

    @classmethod
    def make(cls, n_hidden: int, n_ablations: int, dtype: str, n_trials: int, n_steps: int) -> Any:
        """3-bit flip-flop trials and a random network; 8 ablations or fewer are the couplings'.

        More are the full network and single pieces, two rows by two columns, of T's upper triangle.
        """
        task = ss.tasks.FlipFlop(n_steps=n_steps)
        network = ss.init_network(task, n_hidden, rng=0, dtype=dtype)
        schur = ss.ordered_schur(network.W_hh)
        sectors = schur.sectors(0.9)
        if n_ablations <= len(SUBSETS):
            ablations = [ss.Ablation.of(name, sectors) for name in SUBSETS[:n_ablations]]
        else:
            ablations = [ss.Ablation.of("full", sectors)]
            for row in range(0, n_hidden - 2, 2):
                for column in range(row + 2, n_hidden, 2):
                    piece = (row, row + 2, column, column + 2)
                    ablations.append(ss.Ablation(f"{row},{column}", (piece,), (0.0,)))
            assert len(ablations) >= n_ablations, "T has too few pieces for so many ablations"
            del ablations[n_ablations:]
        return cls(network, task.trials(n_trials, rng=1, dtype=dtype), schur, ablations)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.network.dtype

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Ablations, trials, steps, N_h."""
        trials = self.trials
        return len(self.ablations), trials.n_trials, trials.n_steps, self.network.n_hidden

    @property
    def gflop(self) -> float:
        """Useful work: 2 N_h² per trial, step and ablation; the rest is not counted for anyone."""
        n_ablations, n_trials, n_steps, n_hidden = self.sizes
        return 2e-9 * n_hidden**2 * n_trials * n_steps * n_ablations

    def rows(self, array: Array) -> Array:
        """(trials, steps, features) as (steps, trials, features)."""
        return np.ascontiguousarray(array.swapaxes(0, 1))

    def columns(self, array: Array) -> Array:
        """(trials, steps, features) as (steps, features, trials)."""
        return np.ascontiguousarray(array.transpose(1, 2, 0))

    def ablate(self, n_threads: int) -> ss.AblationProfile:
        """What a user calls, with the Schur form given as the peers are given the matrices."""
        return ss.ablate(
            self.network,
            self.trials,
            ablations=self.ablations,
            schur=self.schur,
            n_threads=n_threads,
        )

    def squared_error_of(self, profile: ss.AblationProfile) -> Array:
        """(ablations, trials) from FVU's parts: what the peers compute."""
        assert not profile.vacuous.any()
        targets = self.trials.targets.astype(np.float64)
        variance = ((targets - targets.mean(axis=(0, 1))) ** 2).sum()
        return profile.per_trial * (variance / self.trials.n_trials)

    def reference(self, n_ablations: int) -> Array:
        """Squared error (n_ablations, trials) in float64, as plainly as can be."""
        network = self.network
        inputs, targets = self.trials.inputs, self.trials.targets
        errors = np.zeros((n_ablations, self.trials.n_trials))
        for W, error in zip(self.W[:n_ablations].astype(np.float64), errors, strict=True):
            h = np.zeros((self.trials.n_trials, network.n_hidden))
            for t in range(self.trials.n_steps):
                h = np.tanh(h @ W.T + inputs[:, t] @ network.W_xh.T)
                error += ((h @ network.W_hy.T - targets[:, t]) ** 2).sum(axis=1)
        return errors


def ablated_form(schur: ss.OrderedSchur, ablation: ss.Ablation) -> Array:
    """T̃ of an ablation, whose 2x2 blocks stay or become normal."""
    block = np.searchsorted(schur.starts, np.arange(schur.n_hidden), side="right")
    gain = np.ones_like(schur.T)
    for (first_row, end_row, first, end), factor in zip(
        ablation.rectangles, ablation.gains, strict=True
    ):
        gain[first_row:end_row, first:end] *= factor
    gain[block[:, None] >= block] = 1
    T = schur.T * gain
    for first, end in ablation.blocks:
        (a, b), (c, d) = T[first:end, first:end]
        omega = np.sqrt(-b * c)
        T[first:end, first:end] = [[a, np.copysign(omega, b)], [np.copysign(omega, c), d]]
    return T


@dataclass(frozen=True)
class TrainingProblem:
    """Steps of Adam on fresh trials, mean squared error, no biases."""

    n_hidden: int = 64
    batch_size: int = 64
    n_steps: int = 50
    n_batches: int = 64
    learning_rate: float = 1e-3
    kind: str = "vanilla"

    @property
    def task(self) -> ss.tasks.FlipFlop:
        return ss.tasks.FlipFlop(n_steps=self.n_steps)

    @property
    def network(self) -> ss.Network:
        return ss.init_network(self.task, self.n_hidden, rng=0, dtype=np.float32, cell=self.kind)

    def train(self) -> Array:
        """What a user calls; it makes its own trials. Returns the loss of every batch."""
        return ss.train(
            self.network,
            self.task,
            epochs=1,
            batches_per_epoch=self.n_batches,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            rng=np.random.default_rng(1),
        ).loss

    def trials(self) -> ss.Trials:
        """Those of all batches."""
        n_trials = self.n_batches * self.batch_size
        return self.task.trials(n_trials, np.random.default_rng(1), dtype=np.float32)

    def batches(self) -> tuple[Array, Array]:
        """The same trials, ready-made: inputs and targets (batches, steps, trials, features)."""
        trials = self.trials()
        shape = (self.n_batches, self.batch_size, self.n_steps, -1)
        inputs, targets = (
            np.ascontiguousarray(array.reshape(shape).swapaxes(1, 2))
            for array in (trials.inputs, trials.targets)
        )
        return inputs, targets
