"""Random ablations compared with one ablation, on as many trials as decide which is larger."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..ablation.batch import Batch
from ..ablation.evaluate import Evaluator
from ..coordinates.forms import Coordinates
from .exact import Reference, decided
from .runs import changes

__all__ = ["Compared"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_COMMON = 0.2


class Compared:
    """Changes under random ablations, on as many trials as compare them with one ablation."""

    def __init__(
        self,
        evaluator: Evaluator,
        row: Batch,
        reference: Reference,
        change: float,
        error_rate: float | None,
    ) -> None:
        self._evaluator, self.row = evaluator, row
        self._reference, self._change = reference, change
        self._error_rate = error_rate

    def changes(
        self, batch: Callable[[_Int64], Batch], n: int, coordinates: Coordinates | None = None
    ) -> _Float64:
        """Changes under n ablations, of the network's Schur forms or others: (n,)."""
        evaluator = self._evaluator
        if coordinates is not None:
            evaluator = evaluator.of_coordinates(coordinates)
        if not np.isfinite(self._change):  # nothing to compare with
            return changes(evaluator, batch(np.arange(n)))
        effects = decided(
            evaluator,
            batch,
            n,
            tolerance=None if self._error_rate is None else 0.0,
            error_rate=self._error_rate or 0.0,
            reference=self._reference,
        )
        compared: _Float64 = self._change + effects.change
        return compared

    def change_of(self, row: Batch, coordinates: Coordinates) -> float:
        """Change under one ablation of other Schur forms of the network."""
        return float(self.changes(lambda _: row, 1, coordinates)[0])

    def is_common(self, drawn: _Float64, n: int) -> bool:
        """Whether the two-sided p will exceed 0.2 after n draws, whatever follows these.

        Never without an error rate: all draws are wanted then.
        """
        if self._error_rate is None:
            return False
        sides = min((drawn >= self._change).sum(), (drawn <= self._change).sum())
        return bool(2 * (1 + sides) > _COMMON * (1 + n))
