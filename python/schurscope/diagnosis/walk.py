"""Sets of pairs of blocks around one set, by a second-order model of the loss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray
from .second_order import SecondOrder

__all__ = ["Walk"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_Bool = npt.NDArray[np.bool_]
_STEPS = 512  # at most, of a walk through all pairs
_MOST_PRODUCTS = 2**24  # 64 MB in float32


class Walk:
    """A set of removed pairs that moves away from the set of the model.

    With s_p = 1 if the model's network has the pair p and -1 if not, and u the sum of s F over the
    pairs that have changed sides, F being the model's samples, the change of side of p adds
    ``s_p (linear_p + 2 u·F_p) + F_p·F_p`` to the loss.

    Parameters
    ----------
    model : SecondOrder
        Around the network without `removed`.
    removed : (pairs,) bool
    price : (pairs,)
        What it is worth to remove a pair; positive.

    Attributes
    ----------
    removed : (pairs,) bool
        Where the walk is.
    loss : float
        Predicted loss there, relative to the model's network.
    """

    def __init__(self, model: SecondOrder, removed: _Bool, price: _Float64) -> None:
        self.removed, self.loss = removed.copy(), 0.0
        self._start, self._price = removed, price
        self._signs = np.where(removed, -1.0, 1.0)
        self._slope, self._squares = model.linear.copy(), model.quadratic
        self._model = model
        self._at_once = -(-len(price) // _STEPS)

    def restore(self, least: float = -np.inf, most_pairs: int | None = None) -> _Int64:
        """Restore pairs of the model's set that save most per price, in this order.

        Until the loss has fallen to `least`, or so many are restored.
        """
        left = int((self.removed & self._start).sum())
        left = left if most_pairs is None else min(left, most_pairs)
        order: list[_Int64] = [np.empty(0, dtype=np.int64)]
        while left > 0 and self.loss > least:
            order.append(self._flip_best(self.removed & self._start, left))
            left -= len(order[-1])
        return np.concatenate(order)

    def remove(self, most: float = np.inf) -> _Int64:
        """Remove pairs that cost least per price, in this order, until the loss exceeds `most`."""
        left = int((~self.removed).sum())
        order: list[_Int64] = [np.empty(0, dtype=np.int64)]
        while left > 0 and self.loss <= most:
            order.append(self._flip_best(~self.removed, left))
            left -= len(order[-1])
        return np.concatenate(order)

    @property
    def _increments(self) -> _Float64:
        increments: _Float64 = self._signs * self._slope + self._squares
        return increments

    def _flip_best(self, candidates: _Bool, most: int) -> _Int64:
        """Change the side of the candidates of least increment per price, some at once."""
        places = np.flatnonzero(candidates)
        score = (self._increments / self._price)[places]
        count = min(self._at_once, most, len(places))
        best = np.argpartition(score, count - 1)[:count]
        best = places[best[np.argsort(score[best], kind="stable")]]
        signs = self._signs[best]
        along = self._along(best, signs)
        self.loss += float(signs @ (self._slope[best] + along[best]))
        self._slope += 2.0 * along
        self._signs[best] = -signs
        self.removed[best] = ~self.removed[best]
        return best

    def _along(self, best: _Int64, signs: _Float64) -> FloatArray:
        """FᵀF s of pairs that change sides: (pairs,).

        In the samples' dtype, because a conversion of all of them would cost more than the product.
        Where FᵀF fits in memory, no step multiplies by F: it would wake the threads of BLAS, which
        wait actively between the steps and slow down everything beside them.
        """
        samples = self._model.samples
        signs = signs.astype(samples.dtype)
        if len(self._signs) ** 2 <= _MOST_PRODUCTS:
            return signs @ self._model.products[best]
        return (samples[:, best] @ signs) @ samples
