"""The search for a large set of pairs that can be removed at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..ablation.evaluate import Evaluator
from ..ablation.plan import ablated_weights
from ..trials.trials import Trials
from .losses import Losses
from .pairs import Pairs
from .question import Question
from .second_order import SecondOrder
from .walk import Walk

__all__ = ["Search"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_Bool = npt.NDArray[np.bool_]
_ROUNDS, _PROBES = 8, 2
_FALL, _SMALLER = 0.8, 0.7  # of the loss allowed; the next fall after one in vain
_AHEAD = 3.0  # times the loss allowed, so that the exact end lies on the walk


class Search:
    """Searches on some trials for the set of pairs of the highest price within a tolerance.

    A round makes a second-order model around the best set so far. On it, the pairs that save most
    loss per price are restored, until most of the loss allowed is free again; then pairs are
    removed, those that cost least per price first; and exact rollouts find how far along this order
    the loss stays within the tolerance. The result is the next best set if its price is higher,
    else the next round restores less. The first round starts from the full network: it is the
    quadratic greedy search.

    Parameters
    ----------
    question : Question
        A measure without a second derivative is searched with its surrogate's models.
    trials : Trials
    pairs : Pairs
    price : (pairs,)
        Positive.
    tolerance : float
    """

    def __init__(
        self,
        question: Question,
        trials: Trials,
        pairs: Pairs,
        price: _Float64,
        tolerance: float,
    ) -> None:
        self._pairs, self._price, self._tolerance = pairs, price, tolerance
        self._probes = question.probes
        evaluator = question.evaluator(trials)
        self._losses = self._smooth_losses = Losses(evaluator, pairs)
        if question.smooth is not question.measure:
            evaluator = question.evaluator(trials, question.smooth)
            self._smooth_losses = Losses(evaluator, pairs)
        self._evaluator: Evaluator = evaluator

    def best(self) -> _Bool:
        """The set found: (pairs,) bool."""
        best, highest = np.zeros(len(self._pairs), dtype=np.bool_), 0.0
        fall = _FALL
        for _ in range(_ROUNDS):
            allowed = self._allowed(best)
            walk = self._walk(best)
            walk.restore(-fall * allowed, int(best.sum()) // 2)
            kept = np.flatnonzero(walk.removed)
            added = walk.remove(_AHEAD * allowed if best.any() else np.inf)
            order = np.concatenate([kept, added])
            size = self._losses.longest(order, self._tolerance, len(kept))
            if (price := float(self._price[order[:size]].sum())) > highest:
                highest = price
                best = np.zeros(len(self._pairs), dtype=np.bool_)
                best[order[:size]] = True
            else:
                fall *= _SMALLER
        return best

    def order(self, best: _Bool) -> _Int64:
        """All pairs: this set's, those that save most per price last, then the others.

        Half of the set in the order of the greedy search, half of it and the others by the model
        around it.
        """
        none = np.zeros_like(best)
        greedy = self._walk(none).remove()
        model = self._model(best)
        last = Walk(model, best, self._price).restore(most_pairs=int(best.sum()) // 2)[::-1]
        first = best.copy()
        first[last] = False
        others = Walk(model, best, self._price).remove()
        return np.concatenate([greedy[first[greedy]], last, others])

    def _allowed(self, best: _Bool) -> float:
        """Loss allowed, in the unit of the models."""
        if self._smooth_losses is self._losses:
            return self._tolerance
        return max(self._tolerance, float(self._smooth_losses.loss([np.flatnonzero(best)])[0]))

    def _walk(self, removed: _Bool) -> Walk:
        return Walk(self._model(removed), removed, self._price)

    def _model(self, removed: _Bool) -> SecondOrder:
        """The model around the network without these pairs."""
        gains = np.where(removed, 0.0, 1.0)[None]
        network, pairs = self._evaluator.network, self._pairs
        W_hh = ablated_weights(pairs.coordinates, pairs.batch(gains), network.dtype)
        around = replace(network, W_hh=W_hh)
        model = SecondOrder.of(self._evaluator.of_network(around), pairs, self._probes, _PROBES)
        if not (np.isfinite(model.linear).all() and np.isfinite(model.samples).all()):
            raise ValueError(
                "network must have finite outputs and derivatives to search for removable pairs, "
                f"got others with {int(removed.sum())} pairs removed"
            )
        return model
