"""The order in which pairs can be removed together, by a second-order model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..ablation.evaluate import Evaluator
from ..ablation.plan import ablated_weights
from .pairs import Pairs
from .second_order import SecondOrder

__all__ = ["greedy_order"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_MOST_ROUNDS = 512


def greedy_order(
    evaluator: Evaluator,
    pairs: Pairs,
    price: _Float64,
    random: np.random.Generator,
    *,
    renewals: int,
    n_probes: int,
    worth_renewing: Callable[[_Int64], bool],
) -> _Int64:
    """All pairs, each next one with the least predicted increment of the loss per price.

    The model is made anew, around the network without the pairs taken so far, `renewals` times,
    while ``worth_renewing(order so far)``.

    Parameters
    ----------
    evaluator : Evaluator
        Of a measure with a second derivative, lower being better.
    pairs : Pairs
    price : (pairs,)
        The squared mass, or 1 to remove as many pairs as possible. The least positive number takes
        the place of 0.
    """
    price = np.maximum(price, np.finfo(np.float64).tiny)
    stage = -(-len(pairs) // renewals)
    order, left = np.empty(0, dtype=np.int64), np.arange(len(pairs))
    while left.size:
        model = _model_without(evaluator, pairs, order, random, n_probes)
        if not (np.isfinite(model.linear).all() and np.isfinite(model.samples).all()):
            raise ValueError(
                "network must have finite outputs and derivatives to search for removable pairs, "
                f"got others with {len(order)} pairs removed"
            )
        ahead = len(order) + stage < len(pairs) and worth_renewing(order)
        size = min(stage, left.size) if ahead else left.size
        taken = left[_least(model, left, price, size, len(pairs))]
        order = np.concatenate([order, taken])
        left = np.setdiff1d(left, taken, assume_unique=True)
    return order


def _model_without(
    evaluator: Evaluator, pairs: Pairs, removed: _Int64, random: np.random.Generator, n_probes: int
) -> SecondOrder:
    """The model around the network without these pairs."""
    gains = np.ones((1, len(pairs)))
    gains[0, removed] = 0.0
    network = evaluator.network
    W_hh = ablated_weights(pairs.coordinates, pairs.batch(gains), network.dtype)
    around = replace(network, W_hh=W_hh)
    return SecondOrder.of(evaluator.of_network(around), pairs, random, n_probes)


def _least(model: SecondOrder, left: _Int64, price: _Float64, size: int, n_pairs: int) -> _Int64:
    """Places in `left` of the next pairs.

    With S the pairs taken so far, the increment of p is ``linear_p + Σ F_p (F_p + 2 Σ_(q∈S) F_q)``,
    a sum over the rows of the samples F. A round takes several pairs where there are more of them
    than rounds.
    """
    samples = model.samples[:, left]
    increment = model.linear[left] + np.einsum("rp,rp->p", samples, samples, dtype=np.float64)
    at_once = -(-n_pairs // _MOST_ROUNDS)
    taken: list[_Int64] = []
    for start in range(0, size, at_once):
        score = increment / price[left]
        count = min(at_once, size - start)
        best = np.argpartition(score, count - 1)[:count] if count < len(score) else np.arange(count)
        best = best[np.argsort(score[best], kind="stable")]
        taken.append(best)
        increment += 2.0 * (samples[:, best].sum(axis=1) @ samples)
        increment[best] = np.inf
    return np.concatenate(taken)
