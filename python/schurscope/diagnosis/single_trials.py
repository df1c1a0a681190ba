"""Single trials of a diagnosis: outputs on some of them, and the effects of pairs on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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

__all__ = ["Trajectories", "TrialEffects", "trajectories_of", "trial_effects_of"]

_Float32 = npt.NDArray[np.float32]
_Int64 = npt.NDArray[np.int64]
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


def trial_effects_of(question: Question, atlas: Atlas) -> TrialEffects:
    """Effects on each trial of the pairs that the atlas ran exactly."""
    pairs, n_trials = Pairs.of(question.coordinates), question.trials.n_trials
    run = np.flatnonzero(atlas.exact)
    run = run[np.argsort(-np.abs(atlas.effect[run]), kind="stable")]
    largest, rest = run[:_KEPT], run[_KEPT:]
    # All trials, of which the first are a fair sample: a few alone might not suit the measure.
    drawn = question.draws.permutation(n_trials)
    evaluator = question.evaluator(question.trials[drawn])

    def effects(which: _Int64, end: int) -> Iterator[tuple[slice, npt.NDArray[np.float64]]]:
        full = full_sums(evaluator, 0, end)
        for first in range(0, len(which), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            per_trial, _ = evaluator.sums(single_pairs(pairs, which[rows]), first=0, end=end)
            with np.errstate(invalid="ignore", over="ignore"):
                yield rows, (per_trial - full) * (n_trials / evaluator.total)

    n_kept, n_rest = min(_MOST_TRIALS, n_trials), min(_TRIALS_OF_REST, n_trials)
    order = np.argsort(drawn[:n_kept])
    effect = np.empty((len(largest), n_kept), np.float32)
    for rows, change in effects(largest, n_kept):
        effect[rows] = change[:, order]
    quantiles = np.empty((len(rest), len(QUANTILES)), np.float32)
    for rows, change in effects(rest, n_rest):
        with np.errstate(invalid="ignore"):
            quantiles[rows] = np.quantile(change, QUANTILES, axis=1).T
    return TrialEffects(largest, drawn[:n_kept][order], effect, rest, quantiles)
