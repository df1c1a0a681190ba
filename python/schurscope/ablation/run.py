"""Ablations of Schur couplings and their effect on a network's behaviour.

In ordered Schur coordinates W_hh = Q T Qᵀ, an ablation scales entries of T above its diagonal
blocks (0 removes them); the network then runs with W̃ = Q T̃ Qᵀ between the unchanged encoder and
decoder. Source: Dräger, arXiv:2606.18457.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import FloatArray, Rng, real_array
from ..coordinates.schur import Order, OrderedSchur, order_named, ordered_schur
from ..networks.cell import Cell
from ..networks.network import Network
from ..trials.trials import Trials
from .assemble import Assembly
from .measures import Denominator, Measure, Score, measure_named
from .measures.base import ScoreFunction, weighted
from .plan import Ablation, ablated_matrix, ablation_rows, compact
from .profile import AblationProfile

__all__ = ["ablate", "leak_of_order"]

_Float64 = npt.NDArray[np.float64]


def ablate(
    network: Network,
    trials: Trials,
    *,
    alpha: float = 0.9,
    ablations: Iterable[str | Ablation] | None = None,
    measure: str | Measure | ScoreFunction = "fvu",
    n_threads: int = 0,
    order: Order | None = None,
    schur: OrderedSchur | None = None,
    rng: Rng = None,
    strict: bool = False,
) -> AblationProfile:
    """Ablate Schur couplings of a trained network and measure the effect.

    Parameters
    ----------
    network : Network
        Rollouts use its dtype; Schur coordinates are always computed in float64.
    trials : Trials
        Held-out trials, converted once to the network's dtype. ``"fidelity"`` needs no targets: it
        compares with the full network's outputs.
    alpha : float
        Cut of the spectrum: R holds the eigenvalues of modulus >= alpha * rho, or in another order
        of key >= alpha times the largest key. In (0, 1].
    ablations : iterable of str or Ablation, optional
        The ablations; None means every subset of the couplings RR, CR (C to R) and CC. The full
        network is always row 0 and need not be named.
    measure : str, Measure or callable
        ``"fvu"``, ``"replay_accuracy"``, ``"accuracy"``, ``"sign_accuracy"``, ``"cross_entropy"``
        or ``"fidelity"``, see `schurscope.measures`; a measure of your own; or a function
        ``f(outputs, trials)`` that scores each trial, (trials,), called once per ablation with
        outputs (trials, steps, N_y). The value is then the mean score.
    n_threads : int
        0 means automatic. The numbers are bit-identical for any number of threads.
    order : {"modulus", "leaky_modulus", "real_part"}, optional
        Sort key of the blocks, see `ordered_schur`; the leaky modulus uses the leak of the
        network's cell. None means the order of `schur`, or modulus.
    schur : OrderedSchur, optional
        Ordered Schur form of this network's ``W_hh``, to avoid recomputing it or to use another
        admissible order.
    rng : numpy.random.Generator, SeedSequence or int
        Source of the cell's noise, if any, the same for every ablation; see `Network.rollout`.
    strict : bool
        Raise an error if rounding of the weights decides the cut. If false, the profile carries a
        warning; see `Sectors.determined`.

    Returns
    -------
    AblationProfile
        A diverging rollout does not raise: its row is flagged and its values are not finite.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type or shape; `trials` do not fit `network`; an ablation is
        unknown or named twice; the targets do not suit the measure: no variance for FVU, values
        other than -1 and +1 for replay accuracy, not one-hot for accuracy; `strict` is true and
        the cut is not determined.
    """
    definition = measure_named(measure)
    trials = _fitting_trials(network, trials)
    schur = _schur_of(network, schur, order)
    sectors = schur.sectors(alpha)
    rows = ablation_rows(ablations, sectors)
    assembly = Assembly(schur, sectors, rows, network.dtype, strict=strict)
    noise = network.noise(rng, trials.n_trials, trials.n_steps)
    rollouts = _Rollouts(network, schur, trials, noise, _core.resolve_threads(n_threads))
    settings = {"n_steps": trials.n_steps, "cell": repr(network.cell)}
    if isinstance(definition, Score):
        scores = np.empty((len(assembly.rows), trials.n_trials))
        _score(definition, rollouts, assembly.running, scores)
        assembly.spread(scores)
        with np.errstate(over="ignore", invalid="ignore"):
            value = scores.mean(axis=1)
        per_step = np.empty((len(scores), 0))
        return assembly.profile(
            definition, value, scores, per_step, denominator=None, settings=settings
        )

    rollouts = _with_targets(rollouts, definition)
    task = _targets_of(definition, rollouts.trials)
    per_trial = np.empty((len(assembly.rows), trials.n_trials))
    per_step = np.empty((len(assembly.rows), trials.n_steps))
    if definition.kernel is not None:
        rollouts.sum(definition.kernel, assembly.running, per_trial, per_step)
    else:
        _sum_scores(definition, rollouts, assembly.running, per_trial, per_step)
    assembly.spread(per_trial)
    assembly.spread(per_step)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = per_trial.sum(axis=1) / task.total
        per_trial *= trials.n_trials / task.total
        per_step /= task.step_weight
        per_step *= task.step_weight.sum() / task.total
        per_step[:, task.step_weight == 0] = np.nan
    return assembly.profile(
        definition,
        value,
        per_trial,
        per_step,
        denominator=task.denominator,
        chance=task.chance,
        settings=settings,
    )


@dataclass(frozen=True)
class _Rollouts:
    """The rollouts of ablations of one network over the same trials and noise."""

    network: Network
    schur: OrderedSchur
    trials: Trials
    noise: FloatArray | None
    n_threads: int

    def sum(
        self, kernel: str, rows: Sequence[Ablation], per_trial: _Float64, per_step: _Float64
    ) -> None:
        """Fill the first rows of (…, trials) and (…, steps) with a kernel's sums."""
        trials = self.trials
        h_0 = self.network.start(trials.h_0, trials.n_trials)
        _core.run_ablations(
            self.network.core_arguments(),
            (self.schur.Q, self.schur.T),
            compact(rows),
            (trials.inputs, trials.targets, trials.step_weights, h_0, self.noise),
            kernel,
            (per_trial[: len(rows)], per_step[: len(rows)]),
            self.n_threads,
        )

    def outputs(self, rows: Iterable[Ablation]) -> Iterator[FloatArray]:
        """Outputs (trials, steps, N_y) of each ablation, one at a time, in one buffer."""
        network, trials = self.network, self.trials
        outputs = np.empty((trials.n_trials, trials.n_steps, network.n_outputs), network.dtype)
        start = network.start(trials.h_0, trials.n_trials)
        for row in rows:
            with np.errstate(over="ignore"):  # a large gain may overflow float32
                W_hh = ablated_matrix(self.schur, row).astype(network.dtype)
            _core.rollout(
                (W_hh, *network.core_arguments()[1:]),
                (trials.inputs, None, None, start, self.noise),
                outputs,
                None,
                self.n_threads,
            )
            yield outputs


@dataclass(frozen=True)
class _Targets:
    """Statistics of the targets and weights that the measure needs, for all ablations."""

    denominator: Denominator
    total: float
    step_weight: _Float64
    chance: float

    @classmethod
    def of(cls, measure: Measure, trials: Trials) -> _Targets:
        targets = trials.targets  # not converted: float32 targets are exact in float64 sums
        weights = trials.step_weights.astype(np.float64)
        measure.check(targets, weights)
        denominator = measure.denominator(targets, weights)
        return cls(
            denominator,
            float(denominator.total()),
            measure.step_weight(targets, weights),
            measure.chance(targets, weights),
        )


# The same trials often judge many networks, cuts or orders. Forgotten with the trials.
_known: WeakKeyDictionary[Trials, dict[Measure, _Targets]] = WeakKeyDictionary()


def _targets_of(measure: Measure, trials: Trials) -> _Targets:
    if measure.kernel is None:  # a user's measure may change
        return _Targets.of(measure, trials)
    known = _known.setdefault(trials, {})
    if measure not in known:
        known[measure] = _Targets.of(measure, trials)
    return known[measure]


def _with_targets(rollouts: _Rollouts, measure: Measure) -> _Rollouts:
    """The rollouts, with the full network's outputs as targets if the measure needs none."""
    if measure.needs_targets:
        if not rollouts.trials.has_targets:
            raise ValueError(
                f"trials must have targets for measure={measure.name!r}, got only inputs; "
                "measure='fidelity' compares with the full network's outputs"
            )
        return rollouts
    full = next(rollouts.outputs([Ablation("full", (), ())]))
    if not np.isfinite(full).all():
        raise ValueError(
            f"network must have finite outputs for measure={measure.name!r}, got a full network "
            "that diverges"
        )
    return replace(rollouts, trials=rollouts.trials.with_targets(full))


def _sum_scores(
    measure: Measure,
    rollouts: _Rollouts,
    rows: Sequence[Ablation],
    per_trial: _Float64,
    per_step: _Float64,
) -> None:
    """Like `_Rollouts.sum`, for a measure without a kernel in the core."""
    targets = rollouts.trials.targets.astype(np.float64)
    weights = rollouts.trials.step_weights.astype(np.float64)
    for place, outputs in enumerate(rollouts.outputs(rows)):
        with np.errstate(all="ignore"):  # a rollout may diverge
            scores = measure.scores(outputs.astype(np.float64), targets)
        name = f"the scores of {measure.name}"
        checked = real_array(scores, name, weights.shape, allow_nonfinite=True)
        with np.errstate(all="ignore"):
            summed = weighted(checked.astype(np.float64), weights)
            per_trial[place], per_step[place] = summed.sum(axis=1), summed.sum(axis=0)


def _score(measure: Score, rollouts: _Rollouts, rows: Sequence[Ablation], scores: _Float64) -> None:
    """Fill the first rows of (…, trials) with the scores of the user's function."""
    assert measure.function is not None
    trials = rollouts.trials
    for place, outputs in enumerate(rollouts.outputs(rows)):
        given = measure.function(outputs.copy(), trials)
        name = f"the scores that {measure.name} returns for {rows[place].name!r}"
        scores[place] = real_array(given, name, (trials.n_trials,), allow_nonfinite=True)


def _fitting_trials(network: Network, trials: Trials) -> Trials:
    """The trials in the network's dtype."""
    if not isinstance(network, Network):
        raise TypeError(
            f"network must be a schurscope.Network, got {type(network).__name__}; use "
            "ss.load_network(…) for files and modules"
        )
    if not isinstance(trials, Trials):
        raise TypeError(f"trials must be schurscope.Trials, got {type(trials).__name__}")
    fits = [("n_inputs", "W_xh")] + [("n_outputs", "W_hy")] * trials.has_targets
    for attribute, matrix in fits:
        given, wanted = getattr(trials, attribute), getattr(network, attribute)
        if given != wanted:
            raise ValueError(
                f"trials must have {attribute} = {wanted}, because {matrix} has shape "
                f"{getattr(network, matrix).shape}, got {given}"
            )
    if trials.h_0 is not None and trials.h_0.shape[1] != network.n_hidden:
        raise ValueError(
            f"trials must have h_0 of shape (trials, {network.n_hidden}), because W_hh has shape "
            f"{network.W_hh.shape}, got {trials.h_0.shape}"
        )
    return trials.astype(network.dtype)


def _schur_of(network: Network, schur: OrderedSchur | None, order: Order | None) -> OrderedSchur:
    W_hh = network.W_hh.astype(np.float64)
    order = None if order is None else order_named(order)
    if schur is None:
        order = order or "modulus"
        return ordered_schur(W_hh, order, leak_of_order(order, network.cell))
    if not isinstance(schur, OrderedSchur):
        raise TypeError(f"schur must be an OrderedSchur or None, got {type(schur).__name__}")
    if not np.array_equal(schur.W, W_hh):
        raise ValueError("schur must be the Schur form of network.W_hh, got that of another matrix")
    if order is not None and order != schur.order:
        raise ValueError(f"order must be that of schur, {schur.order!r}, got {order!r}")
    return schur


def leak_of_order(order: Order, cell: Cell) -> float | None:
    """The leak that `ordered_schur` needs for an order; None if it needs none.

    Raises
    ------
    ValueError
        The leaky modulus |1 - a + a λ| of a cell whose units have different leaks, which has no
        one a.
    """
    if order != "leaky_modulus":
        return None
    low, high = np.min(cell.leak), np.max(cell.leak)
    if low != high:
        raise ValueError(
            "order must be 'modulus' or 'real_part' for a cell whose units have different leaks, "
            f"here {low:g} … {high:g}, got 'leaky_modulus', which needs one leak"
        )
    return float(low)
