"""The second-order model of an ablation's effect, from one backward pass for each probe.

For a set S of pairs p, removed together, with the features s_p(b) of `Evaluator.features`,

    Δ(S) ≈ (1 / den) Σ_b [ -Σ_(p∈S) s_p^ε(b) + E_v (Σ_(p∈S) s_p^v(b))² ],

where ε is the gradient of the measure with respect to the outputs, and v are random probes whose
second moment is half its curvature: independent signs, multiplied by the square root of the step's
weight. The quadratic part is that of Gauss and Newton. The gradient stays, because trained networks
are not at an exact minimum. Squaring the sum of a trial makes one pass give a sample of v for each
trial.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray
from .._internal.frozen import computed_once
from ..ablation.evaluate import Evaluator
from ..ablation.measures.base import weighted
from .pairs import Pairs

__all__ = ["Probes", "SecondOrder", "probes"]

_Float64 = npt.NDArray[np.float64]
_BYTES_AT_ONCE = 2**27


@dataclass(frozen=True, eq=False)
class SecondOrder:
    """The model on some trials.

    Attributes
    ----------
    linear : (pairs,)
        First-order change of the measure when a pair is removed.
    samples : (trials · probes, pairs)
        F, scaled so that the quadratic change of a set S is ``Σ_rows (Σ_(p∈S) F_p)²``.
    """

    linear: _Float64
    samples: FloatArray

    @property
    def quadratic(self) -> _Float64:
        """Σ_rows F_p², the quadratic change of each pair alone: (pairs,)."""
        squares: _Float64 = np.einsum("rp,rp->p", self.samples, self.samples, dtype=np.float64)
        return squares

    @computed_once
    def products(self) -> FloatArray:
        """FᵀF: (pairs, pairs)."""
        products: FloatArray = self.samples.T @ self.samples
        return products

    @property
    def change(self) -> _Float64:
        """The predicted change of the measure when a pair is removed: (pairs,)."""
        return self.linear + self.quadratic

    @classmethod
    def of(
        cls, evaluator: Evaluator, pairs: Pairs, rng: np.random.Generator, n_probes: int = 1
    ) -> SecondOrder:
        """The model on all trials of the evaluator, whose measure has a second derivative."""
        entries, count = pairs.entries, len(pairs)
        linear = np.zeros(count)
        samples = np.empty((n_probes, evaluator.n_trials, count), evaluator.network.dtype)
        for part in probes(evaluator, rng, n_probes, values_per_trial=count):
            slope = evaluator.features(entries, count, part.gradient, part.first)
            linear -= slope.sum(axis=0, dtype=np.float64)
            for probe, signs in enumerate(part.signs):
                end = part.first + len(signs)
                samples[probe, part.first : end] = evaluator.features(
                    entries, count, signs, part.first
                )
        samples /= np.sqrt(evaluator.total * n_probes)
        return cls(linear / evaluator.total, samples.reshape(n_probes * evaluator.n_trials, count))


@dataclass(frozen=True, eq=False)
class Probes:
    """Cotangents on the outputs of consecutive trials.

    Attributes
    ----------
    first : int
        The first trial.
    gradient : (trials, steps, N_y)
        The weighted gradient of the measure's score.
    signs : (probes, trials, steps, N_y)
        Random probes.
    """

    first: int
    gradient: FloatArray
    signs: FloatArray


def probes(
    evaluator: Evaluator,
    rng: np.random.Generator,
    n_probes: int = 1,
    values_per_trial: int = 0,
) -> Iterator[Probes]:
    """Cotangents for all trials, some at a time: as many as keep the memory bounded.

    NotImplementedError if the measure has no second derivative.
    """
    network, measure = evaluator.network, evaluator.measure
    per_trial = evaluator.trials.n_steps * (3 * network.n_outputs + 2 * network.n_hidden)
    size = max(64, _BYTES_AT_ONCE // (8 * (per_trial + values_per_trial)) // 64 * 64)
    for first in range(0, evaluator.n_trials, size):
        end = min(first + size, evaluator.n_trials)
        outputs = evaluator.full_outputs(first, end).astype(np.float64)
        targets = evaluator.trials.targets[first:end].astype(np.float64)
        weights = evaluator.trials.step_weights[first:end, :, None].astype(np.float64)
        random = rng.integers(0, 2, (n_probes, *outputs.shape)) * 2.0 - 1
        with np.errstate(invalid="ignore"):  # targets at steps of weight 0 may be anything
            gradient = measure.gradient(outputs, targets)
            signs = np.array([measure.half_curvature(outputs, targets, sign) for sign in random])
        yield Probes(
            first,
            weighted(gradient, weights).astype(network.dtype),
            weighted(signs, np.sqrt(weights)).astype(network.dtype),
        )
