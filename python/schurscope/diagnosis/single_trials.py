"""Single trials of a diagnosis: outputs on some of them, and the effects of pairs on each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .._internal.frozen import ReadOnly
from ..ablation.batch import Batch
from ..ablation.plan import Ablation, ablated_weights
from ..ablation.profile import AblationProfile
from ..coordinates.sectors import COUPLINGS
from .atlas import Atlas
from .exact import full_sums, single_pairs
from .pairs import Pairs
from .question import Question

__all__ = ["Record", "Trajectories", "TrialEffects", "trajectories_of", "trial_effects_of"]

_Float32 = npt.NDArray[np.float32]
_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_Effects: TypeAlias = Callable[[_Int64, int], Iterator[tuple[slice, npt.NDArray[Any]]]]
"""Rows, and their effects on each trial, from places among the pairs run and a count of trials."""
_SHOWN, _MOST_NUMBERS = 8, 2**16
_KEPT, _MOST_TRIALS, _TRIALS_OF_REST = 100, 512, 128
_ROWS_AT_ONCE = 256
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, eq=False, repr=False)
class Trajectories(ReadOnly):
    """Outputs on a few trials, from the best to the worst trial of the full network.

    Attributes
    ----------
    trial : (shown,)
        Indices of the trials; noisy cells draw other noise than in the profile.
    names : tuple of str
        ``"full"`` and the couplings that are not vacuous; in gated networks of all gates together.
    outputs : (names, shown, steps, N_y) float32
    targets : (shown, steps, N_y) float32
        NaN if the trials have none.
    weights : (shown, steps) float32
    """

    trial: _Int64
    names: tuple[str, ...]
    outputs: _Float32
    targets: _Float32
    weights: _Float32


@dataclass(frozen=True, eq=False, repr=False)
class TrialEffects(ReadOnly):
    """What the removal of a pair does on each trial, for pairs whose effect was run exactly.

    The effect on a trial is scaled such that its mean over all trials is the change of the measure.

    Attributes
    ----------
    pair : (kept,)
        Indices in the atlas of the largest effects, up to 100, largest first.
    trial : (trials,)
        Indices of the trials: a random 512, or all.
    effect : (kept, trials) float32
    rest : (others,)
        Indices in the atlas of the other pairs.
    quantiles : (others, 5) float32
        5, 25, 50, 75 and 95 % quantiles over a random 128 of `trial`, or all.
    """

    pair: _Int64
    trial: _Int64
    effect: _Float32
    rest: _Int64
    quantiles: _Float32


def trajectories_of(question: Question, profile: AblationProfile) -> Trajectories:
    """Outputs with and without each coupling on trials of evenly spaced ranks."""
    trials, coordinates = question.trials, question.coordinates
    names = [name for name in COUPLINGS if not profile[name].vacuous]
    per_trial = (1 + len(names)) * trials.n_steps * question.network.n_outputs
    count = max(1, min(_SHOWN, trials.n_trials, _MOST_NUMBERS // per_trial))
    loss = profile.definition.loss_sign * profile.per_trial[0]
    ranks = np.linspace(0, trials.n_trials - 1, count).astype(np.int64)
    chosen = np.argsort(loss, kind="stable")[ranks]
    evaluator = question.evaluator()
    networks = [question.network]
    for name in names:
        row = Batch.of([Ablation.of(name, profile.cuts)], coordinates.gates)
        W_hh = ablated_weights(coordinates, row, question.network.dtype)
        networks.append(replace(question.network, W_hh=W_hh, cayley=None))
    outputs = [
        np.concatenate([evaluator.of_network(network).full_outputs(b, b + 1) for b in chosen])
        for network in networks
    ]
    judged = evaluator.trials[chosen]
    targets = judged.targets if judged.has_targets else np.full_like(outputs[0], np.nan)
    return Trajectories(
        trial=chosen,
        names=("full", *names),
        outputs=np.array(outputs, dtype=np.float32),
        targets=targets.astype(np.float32),
        weights=judged.step_weights.astype(np.float32),
    )


class Record:
    """Effects on a random sample of the trials, kept while an atlas runs all of them, in order."""

    def __init__(self, n_trials: int, rng: np.random.Generator) -> None:
        self.drawn: _Int64 = rng.permutation(n_trials)
        self._parts: list[_Float32] = []

    @property
    def trials(self) -> _Int64:
        """Indices of the sample, of which any first ones are a fair sample: (sampled,)."""
        return self.drawn[:_MOST_TRIALS]

    def see(self, differences: _Float64) -> None:
        """Keep the effects of the next pairs, (pairs, all trials)."""
        self._parts.append(differences[:, self.trials].astype(np.float32))

    def effects(self) -> _Float32 | None:
        """The effects seen, (pairs, sampled); None if there are none."""
        return np.concatenate(self._parts) if self._parts else None


def trial_effects_of(
    question: Question, atlas: Atlas, record: Record | None = None
) -> TrialEffects:
    """Effects on each trial of the pairs that the atlas ran exactly, run again unless recorded."""
    n_trials = question.trials.n_trials
    run = np.flatnonzero(atlas.exact)
    order = np.argsort(-np.abs(atlas.effect[run]), kind="stable")
    record = record or Record(n_trials, question.draws)
    recorded = record.effects()
    effects = (
        _run_again(question, run, record.drawn)
        if recorded is None
        else lambda which, end: iter([(slice(None), recorded[which, :end])])
    )
    largest, rest = order[:_KEPT], order[_KEPT:]
    n_rest = min(_TRIALS_OF_REST, n_trials)
    sorting = np.argsort(record.trials)
    effect = np.empty((len(largest), len(sorting)), np.float32)
    for rows, change in effects(largest, len(sorting)):
        effect[rows] = change[:, sorting]
    quantiles = np.empty((len(rest), len(QUANTILES)), np.float32)
    for rows, change in effects(rest, n_rest):
        with np.errstate(invalid="ignore"):
            quantiles[rows] = np.quantile(change, QUANTILES, axis=1).T
    return TrialEffects(run[largest], record.trials[sorting], effect, run[rest], quantiles)


def _run_again(question: Question, run: _Int64, drawn: _Int64) -> _Effects:
    """Effects on the first of the trials drawn."""
    pairs = Pairs.of(question.coordinates)
    # All trials, of which the first are a fair sample: a few alone might not suit the measure.
    evaluator = question.evaluator(question.trials[drawn])

    def effects(which: _Int64, end: int) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        full = full_sums(evaluator, 0, end)
        for first in range(0, len(which), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            per_trial, _ = evaluator.sums(single_pairs(pairs, run[which[rows]]), first=0, end=end)
            with np.errstate(invalid="ignore", over="ignore"):
                yield rows, (per_trial - full) * (evaluator.n_trials / evaluator.total)

    return effects
