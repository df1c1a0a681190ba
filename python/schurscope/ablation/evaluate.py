"""The rollouts of a network's ablations over the same trials and noise, and their measure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import FloatArray, Rng
from ..coordinates.forms import Coordinates
from ..networks.network import Network
from ..trials.trials import Trials
from .batch import Batch
from .measures import Denominator, Measure, Score
from .plan import ablated_weights
from .scoring import judged_trials, summed_scores, target_statistics

__all__ = ["Evaluator", "fitting_trials"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]


class Evaluator:
    """Measures ablations of one network, always on the same trials with the same noise.

    Parameters are those of `schurscope.ablate`, with the measure and the Schur forms resolved.

    Attributes
    ----------
    network, coordinates, measure
    trials : Trials
        In the network's dtype. Targets are the full network's outputs if the measure needs none.
    statistics : TargetStatistics
    """

    def __init__(
        self,
        network: Network,
        trials: Trials,
        coordinates: Coordinates,
        measure: Measure,
        *,
        rng: Rng = None,
        n_threads: int = 0,
    ) -> None:
        self.network, self.coordinates, self.measure = network, coordinates, measure
        self.trials = fitting_trials(network, trials)
        self._noise = network.noise(rng, trials.n_trials, trials.n_steps)
        self._n_threads = _core.resolve_threads(n_threads)
        self.trials = judged_trials(measure, self.trials, self.full_outputs)
        self.statistics = target_statistics(measure, self.trials)

    def of_network(self, network: Network) -> Evaluator:
        """The evaluator of a network with other weights and the same cell, noise and Schur forms.

        Its `features` and `adjoints` are around that network, in the coordinates of this one.
        """
        other = copy(self)
        other.network = network
        return other

    def of_first(self, n_trials: int) -> Evaluator:
        """The evaluator on the first trials alone, with their noise."""
        other = copy(self)
        other.trials, other._noise = self._part(0, n_trials)
        other.statistics = target_statistics(other.measure, other.trials)
        return other

    def of_coordinates(self, coordinates: Coordinates) -> Evaluator:
        """The evaluator of the same network, trials and noise in other Schur forms of it."""
        other = copy(self)
        other.coordinates = coordinates
        return other

    @property
    def denominator(self) -> Denominator | None:
        """None for a score, which is a mean over trials."""
        return self.statistics.denominator

    @property
    def total(self) -> float:
        """The value of an ablation is the sum over trials of `sums`, divided by this."""
        return self.statistics.total

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
        n_steps = 0 if isinstance(self.measure, Score) else trials.n_steps
        per_trial = np.empty((len(batch), trials.n_trials))
        per_step = np.empty((len(batch), n_steps))
        if self.measure.kernel is None:
            for place, outputs in enumerate(self._outputs(self._matrices(batch), trials, noise)):
                name = repr(names[place]) if names else f"ablation {place}"
                sums = summed_scores(self.measure, outputs, trials, name)
                per_trial[place], per_step[place] = sums
            return per_trial, per_step
        _core.run_ablations(
            self.network.core_arguments(),
            [(schur.Q, schur.T) for schur in self.coordinates.schurs],
            batch.core_arguments(),
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
        self,
        entries: Sequence[tuple[_Float64, _Int64]],
        count: int,
        cotangents: FloatArray,
        first: int = 0,
    ) -> FloatArray:
        """Derivatives with respect to the removal of labelled entries of T.

        With the adjoints δ_t of the cotangents v at the recurrent products of a gate and their
        operands r_(t-1), for trial b and label p:
        ``s_p(b) = Σ_t Σ_(i,j)∈p D_ij (Qᵀ δ_t)_i (Qᵀ r_(t-1))_j``. Removing p changes ``Σ v ŷ``
        of the trial by -s_p(b) to first order.

        Parameters
        ----------
        entries : for each gate D (N_h, N_h), labels (N_h, N_h)
            What a removal takes from T; labels 0 to count - 1 over all gates, negative for none.
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
            [
                (schur.Q, *of_gate)
                for schur, of_gate in zip(self.coordinates.schurs, entries, strict=True)
            ],
            self._core_trials(*self._part(first, first + len(cotangents))),
            cotangents,
            found,
            self._n_threads,
        )
        return found

    def adjoints(
        self, gate: int, cotangents: FloatArray, first: int = 0
    ) -> tuple[FloatArray, FloatArray]:
        """Operands of the recurrent products of a gate and the adjoints δ_t of the products.

        The operands are the rates r_(t-1), or r ∘ h_(t-1) where a GRU's reset comes before the
        product. Both are (trials, steps, N_h).

        Parameters
        ----------
        gate : int
            Its number; 0 for the vanilla cell.
        cotangents, first
            As for `features`.
        """
        shape = (*cotangents.shape[:2], self.network.n_hidden)
        rates, deltas = np.empty(shape, cotangents.dtype), np.empty(shape, cotangents.dtype)
        _core.adjoints(
            self.network.core_arguments(),
            gate,
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
        """W_hh of each ablation, the gates stacked, in the network's dtype."""
        for place in range(len(batch)):
            yield ablated_weights(
                self.coordinates, batch.rows(place, place + 1), self.network.dtype
            )

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


def fitting_trials(network: Network, trials: Trials) -> Trials:
    """The trials in the network's dtype; TypeError or ValueError if they do not fit it."""
    if not isinstance(network, Network):
        advice = "use ss.load_network(…) for files and modules"
        if isinstance(getattr(network, "network", None), Network):
            advice = "use its attribute network"  # the result of training or of an import
        raise TypeError(
            f"network must be a schurscope.Network, got {type(network).__name__}; {advice}"
        )
    if not isinstance(trials, Trials):
        raise TypeError(
            f"trials must be schurscope.Trials, got {type(trials).__name__}; use "
            "ss.Trials(inputs, targets) for arrays, ss.Trials.load(…) for files"
        )
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
