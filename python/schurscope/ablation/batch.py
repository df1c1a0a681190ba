"""Many ablations of one Schur form in arrays, as the core reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..coordinates.schur import OrderedSchur
    from .plan import Ablation

__all__ = ["Batch"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batch:
    """Gains on places of T for each ablation of a batch.

    Ablation a has the rectangles and gains from ``offsets[a]`` to ``offsets[a + 1]``, and the
    ranges of blocks from ``block_offsets[a]`` to ``block_offsets[a + 1]``; see `Ablation`.
    """

    offsets: _Int64
    rectangles: _Int64
    gains: _Float64
    block_offsets: _Int64
    blocks: _Int64
    block_gains: _Float64

    @classmethod
    def of(cls, rows: Sequence[Ablation]) -> Batch:
        """The batch of these ablations, in order."""
        return cls(
            _offsets(len(row.gains) for row in rows),
            _places((rectangle for row in rows for rectangle in row.rectangles), 4),
            np.array([gain for row in rows for gain in row.gains], dtype=np.float64),
            _offsets(len(row.block_gains) for row in rows),
            _places((block for row in rows for block in row.blocks), 2),
            np.array([gain for row in rows for gain in row.block_gains], dtype=np.float64),
        )

    @classmethod
    def of_pairs(cls, schur: OrderedSchur, pairs: _Int64, gains: _Float64) -> Batch:
        """One ablation for each row of gains on pairs of blocks.

        Parameters
        ----------
        schur : OrderedSchur
        pairs : (n_pairs, 2)
            Block indices I <= J. Where I = J, the gain is on the nonnormality of that block.
        gains : (ablations, n_pairs)
            1 leaves a pair as it is.
        """
        starts, ends = schur.starts, schur.starts + schur.block_sizes
        first, last = pairs.T
        inside = first == last
        rectangles = np.stack([starts[first], ends[first], starts[last], ends[last]], axis=1)
        changed, blocks_changed = (gains != 1) & ~inside, (gains != 1) & inside
        pair, block = np.nonzero(changed)[1], np.nonzero(blocks_changed)[1]
        return cls(
            _offsets(changed.sum(axis=1)),
            np.ascontiguousarray(rectangles[pair]),
            gains[changed],
            _offsets(blocks_changed.sum(axis=1)),
            np.ascontiguousarray(rectangles[block, :2]),
            gains[blocks_changed],
        )

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """The ablations of all batches, in order."""
        return cls(
            _offsets(np.concatenate([np.diff(batch.offsets) for batch in batches])),
            np.concatenate([batch.rectangles for batch in batches]),
            np.concatenate([batch.gains for batch in batches]),
            _offsets(np.concatenate([np.diff(batch.block_offsets) for batch in batches])),
            np.concatenate([batch.blocks for batch in batches]),
            np.concatenate([batch.block_gains for batch in batches]),
        )

    def unions(self, members: npt.NDArray[np.bool_]) -> Batch:
        """One ablation for each row of `members`, (rows, ablations): all its members at once."""
        taken = np.repeat(members, np.diff(self.offsets), axis=1)
        blocks_taken = np.repeat(members, np.diff(self.block_offsets), axis=1)
        place, block = np.nonzero(taken)[1], np.nonzero(blocks_taken)[1]
        return Batch(
            _offsets(taken.sum(axis=1)),
            self.rectangles[place],
            self.gains[place],
            _offsets(blocks_taken.sum(axis=1)),
            self.blocks[block],
            self.block_gains[block],
        )

    def mask(self, schur: OrderedSchur) -> npt.NDArray[np.bool_]:
        """Mask of the entries of T that some ablation of the batch scales: (N_h, N_h)."""
        block = schur.block_of_row
        scaled = np.zeros(schur.T.shape, dtype=np.bool_)
        for first_row, end_row, first_column, end_column in self.rectangles[self.gains != 1]:
            scaled[first_row:end_row, first_column:end_column] = True
        scaled &= block[:, None] < block
        pairs = schur.starts[schur.block_sizes == 2]
        for first, end in self.blocks[self.block_gains != 1]:
            inside = pairs[(first <= pairs) & (pairs + 2 <= end)]
            scaled[inside, inside + 1] = scaled[inside + 1, inside] = True
        return scaled

    def __len__(self) -> int:
        """Number of ablations."""
        return len(self.offsets) - 1

    def rows(self, first: int, end: int) -> Batch:
        """Ablations first to end - 1."""
        places = slice(self.offsets[first], self.offsets[end])
        blocks = slice(self.block_offsets[first], self.block_offsets[end])
        return Batch(
            self.offsets[first : end + 1] - self.offsets[first],
            self.rectangles[places],
            self.gains[places],
            self.block_offsets[first : end + 1] - self.block_offsets[first],
            self.blocks[blocks],
            self.block_gains[blocks],
        )

    def core_arguments(
        self,
    ) -> tuple[tuple[_Int64, _Int64, _Float64], tuple[_Int64, _Int64, _Float64]]:
        """The arguments of the core's functions on ablations."""
        return (
            (self.offsets, self.rectangles, self.gains),
            (self.block_offsets, self.blocks, self.block_gains),
        )


def _offsets(counts: Iterable[int] | _Int64) -> _Int64:
    return np.cumsum([0, *counts], dtype=np.int64)


def _places(values: Iterable[tuple[int, ...]], size: int) -> _Int64:
    return np.array(list(values), dtype=np.int64).reshape(-1, size)
