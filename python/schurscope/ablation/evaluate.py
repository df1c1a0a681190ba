"""The rollouts of a network's ablations over the same trials and noise, and their measure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import FloatArray, Rng, real_array
from ..coordinates.schur import Order, OrderedSchur, order_named, ordered_schur
from ..networks.cell import Cell
from ..networks.gates import require_vanilla
from ..networks.network import Network
from ..trials.trials import Trials
from .batch import Batch
from .measures import Denominator, Measure, Score
from .measures.base import weighted
from .plan import ablated_matrix

__all__ = ["Evaluator", "fitting_trials", "leak_of_order", "schur_of"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]


class Evaluator:
    """Measures ablations of one network, always on the same trials with the same noise.

    Parameters are those of `schurscope.ablate`, with the measure and the Schur form resolved.

    Attributes
    ----------
    network, schur, measure
    trials : Trials
        In the network's dtype. Targets are the full network's outputs if the measure needs none.
    denominator : Denominator or None
        None for a score, which is a mean over trials.
    total : float
        The value of an ablation is the sum over trials of `sums`, divided by this.
    step_weight : (steps,)
    chance : float
    trials_caution : str
        See `Measure.trials_caution`.
    """

    def __init__(
        self,
        network: Network,
        trials: Trials,
        schur: OrderedSchur,
        measure: Measure,
        *,
        rng: Rng = None,
        n_threads: int = 0,
    ) -> None:
        require_vanilla(network.cell, "an Evaluator")
        self.network, self.schur, self.measure = network, schur, measure
        self.trials = fitting_trials(network, trials)
        self._noise = network.noise(rng, trials.n_trials, trials.n_steps)
        self._n_threads = _core.resolve_threads(n_threads)
        if not isinstance(measure, Score):
            self.trials = self._with_targets()
        self._judge()

    def _judge(self) -> None:
        """Set what the measure needs of the trials."""
        if isinstance(self.measure, Score):
            self.denominator: Denominator | None = None
            self.total, self.chance = float(self.n_trials), float("nan")
            self.step_weight, self.trials_caution = np.empty(0), ""
            return
        task = _targets_of(self.measure, self.trials)
        self.denominator, self.total = task.denominator, task.total
        self.step_weight, self.chance = task.step_weight, task.chance
        self.trials_caution = task.caution

    def of_network(self, network: Network) -> Evaluator:
        """The evaluator of a network with other weights and the same cell, noise and Schur form.

        Its `features` and `adjoints` are around that network, in the coordinates of this one.
        """
        other = copy(self)
        other.network = network
        return other

    def of_first(self, n_trials: int) -> Evaluator:
        """The evaluator on the first trials alone, with their noise."""
        other = copy(self)
        other.trials, other._noise = self._part(0, n_trials)
        other._judge()
        return other

    def of_schur(self, schur: OrderedSchur) -> Evaluator:
        """The evaluator of the same network, trials and noise in another of its Schur forms."""
        other = copy(self)
        other.schur = schur
        return other

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.trials.n_trials

    def sums(
        self,
        batch: Batch,
        *,
        names: Sequence[str] = (),
        first: int = 0,
        end: int | None = None,
    ) -> tuple[_Float64, _Float64]:
        """Weighted sums of the measure's scores for each ablation, on trials first to end - 1.

        Parameters
        ----------
        batch : Batch
        names : sequence of str
            The ablations' names, for errors.
        first, end : int
            None ends with the last trial.

        Returns
        -------
        per_trial : (ablations, trials)
        per_step : (ablations, steps)
            No steps for a score: (ablations, 0).
        """
        trials, noise = self._part(first, end)
        per_trial = np.empty((len(batch), trials.n_trials))
        if isinstance(self.measure, Score):
            self._score(self.measure, batch, trials, noise, per_trial, names)
            return per_trial, np.empty((len(batch), 0))
        per_step = np.empty((len(batch), trials.n_steps))
        if self.measure.kernel is None:
            self._sum_scores(batch, trials, noise, per_trial, per_step)
            return per_trial, per_step
        _core.run_ablations(
            self.network.core_arguments(),
            [(self.schur.Q, self.schur.T)],
            [batch.core_arguments()],
            self._core_trials(trials, noise),
            self.measure.kernel,
            (per_trial, per_step),
            self._n_threads,
        )
        return per_trial, per_step

    def full_outputs(self, first: int = 0, end: int | None = None) -> FloatArray:
        """Outputs of the full network on trials first to end - 1: (trials, steps, N_y)."""
        return next(self._outputs([self.network.W_hh], *self._part(first, end)))

    def features(
        self, entries: tuple[_Float64, _Int64], count: int, cotangents: FloatArray, first: int = 0
    ) -> FloatArray:
        """Derivatives with respect to the removal of labelled entries of T.

        With the adjoints δ_t of the cotangents v at the recurrent products, for trial b and label
        p: ``s_p(b) = Σ_t Σ_(i,j)∈p D_ij (Qᵀ δ_t)_i (Qᵀ r_(t-1))_j``. Removing p changes ``Σ v ŷ``
        of the trial by -s_p(b) to first order.

        Parameters
        ----------
        entries : D (N_h, N_h), labels (N_h, N_h)
            What a removal takes from T; labels 0 to count - 1, negative for none.
        count : int
        cotangents : (trials, steps, N_y)
            v, for trials from `first`; 0 at steps without weight.
        first : int

        Returns
        -------
        (trials, count), in the network's dtype.
        """
        found = np.empty((len(cotangents), count), self.network.dtype)
        _core.coupling_features(
            self.network.core_arguments(),
            [(self.schur.Q, *entries)],
            self._core_trials(*self._part(first, first + len(cotangents))),
            cotangents,
            found,
            self._n_threads,
        )
        return found

    def adjoints(self, cotangents: FloatArray, first: int = 0) -> tuple[FloatArray, FloatArray]:
        """Rates r_(t-1) and adjoints δ_t of the recurrent products: (trials, steps, N_h) each.

        Parameters are those of `features`.
        """
        shape = (*cotangents.shape[:2], self.network.n_hidden)
        rates, deltas = np.empty(shape, cotangents.dtype), np.empty(shape, cotangents.dtype)
        _core.adjoints(
            self.network.core_arguments(),
            0,  # the vanilla cell's one recurrent matrix
            self._core_trials(*self._part(first, first + len(cotangents))),
            cotangents,
            rates,
            deltas,
            self._n_threads,
        )
        return rates, deltas

    def _part(self, first: int, end: int | None) -> tuple[Trials, FloatArray | None]:
        """Trials first to end - 1, and their noise."""
        part = slice(first, self.n_trials if end is None else end)
        trials = self.trials if part == slice(0, self.n_trials) else self.trials[part]
        return trials, None if self._noise is None else self._noise[part]

    def _core_trials(
        self, trials: Trials, noise: FloatArray | None
    ) -> tuple[
        FloatArray, FloatArray | None, FloatArray | None, FloatArray | None, FloatArray | None
    ]:
        start = self.network.start(trials.h_0, trials.c_0, trials.n_trials)
        return trials.inputs, trials.targets, trials.step_weights, start, noise

    def _matrices(self, batch: Batch) -> Iterator[FloatArray]:
        """W̃ (N_h, N_h) of each ablation, in the network's dtype."""
        for place in range(len(batch)):
            W_ablated = ablated_matrix(self.schur, batch.rows(place, place + 1))
            with np.errstate(over="ignore"):  # a large gain may overflow float32
                yield W_ablated.astype(self.network.dtype)

    def _outputs(
        self, matrices: Iterable[FloatArray], trials: Trials, noise: FloatArray | None
    ) -> Iterator[FloatArray]:
        """Outputs (trials, steps, N_y) for each recurrent matrix, one at a time, in one buffer."""
        network = self.network
        outputs = np.empty((trials.n_trials, trials.n_steps, network.n_outputs), network.dtype)
        start = network.start(trials.h_0, trials.c_0, trials.n_trials)
        for W_hh in matrices:
            _core.rollout(
                (W_hh, *network.core_arguments()[1:]),
                (trials.inputs, None, None, start, noise),
                outputs,
                None,
                self._n_threads,
            )
            yield outputs

    def _sum_scores(
        self,
        batch: Batch,
        trials: Trials,
        noise: FloatArray | None,
        per_trial: _Float64,
        per_step: _Float64,
    ) -> None:
        """The sums of a measure without a kernel in the core."""
        targets = trials.targets.astype(np.float64)
        weights = trials.step_weights.astype(np.float64)
        for place, outputs in enumerate(self._outputs(self._matrices(batch), trials, noise)):
            with np.errstate(all="ignore"):  # a rollout may diverge
                scores = self.measure.scores(outputs.astype(np.float64), targets)
            name = f"the scores of {self.measure.name}"
            checked = real_array(scores, name, weights.shape, allow_nonfinite=True)
            with np.errstate(all="ignore"):
                summed = weighted(checked.astype(np.float64), weights)
                per_trial[place], per_step[place] = summed.sum(axis=1), summed.sum(axis=0)

    def _score(
        self,
        measure: Score,
        batch: Batch,
        trials: Trials,
        noise: FloatArray | None,
        scores: _Float64,
        names: Sequence[str],
    ) -> None:
        """The scores of the user's function."""
        assert measure.function is not None
        for place, outputs in enumerate(self._outputs(self._matrices(batch), trials, noise)):
            given = measure.function(outputs.copy(), trials)
            ablation = repr(names[place]) if names else f"ablation {place}"
            name = f"the scores that {measure.name} returns for {ablation}"
            scores[place] = real_array(given, name, (trials.n_trials,), allow_nonfinite=True)

    def _with_targets(self) -> Trials:
        """The trials, with the full network's outputs as targets if the measure needs none."""
        if self.measure.needs_targets:
            if not self.trials.has_targets:
                raise ValueError(
                    f"trials must have targets for measure={self.measure.name!r}, got only "
                    "inputs; measure='fidelity' compares with the full network's outputs"
                )
            return self.trials
        full = self.full_outputs()
        if not np.isfinite(full).all():
            raise ValueError(
                f"network must have finite outputs for measure={self.measure.name!r}, got a full "
                "network that diverges"
            )
        return self.trials.with_targets(full)


@dataclass(frozen=True)
class _Targets:
    """Statistics of the targets and weights that the measure needs, for all ablations."""

    denominator: Denominator
    total: float
    step_weight: _Float64
    chance: float
    caution: str

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
            measure.trials_caution(targets, weights) if measure.needs_targets else "",
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


def fitting_trials(network: Network, trials: Trials) -> Trials:
    """The trials in the network's dtype; TypeError or ValueError if they do not fit it."""
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
    for name in ("h_0", "c_0"):
        state = getattr(trials, name)
        if state is not None and state.shape[1] != network.n_hidden:
            raise ValueError(
                f"trials must have {name} of shape (trials, {network.n_hidden}), because W_hh has "
                f"shape {network.W_hh.shape}, got {state.shape}"
            )
    return trials.astype(network.dtype)


def schur_of(network: Network, schur: OrderedSchur | None, order: Order | None) -> OrderedSchur:
    """The given Schur form, checked to be the network's, or else a new one in that order."""
    require_vanilla(network.cell, "this analysis in Schur coordinates")
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
