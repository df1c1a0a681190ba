"""Many ablations of one network in arrays, as the core reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..coordinates.schur import OrderedSchur
    from .plan import Ablation

__all__ = ["Batch", "Places"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_Bool = npt.NDArray[np.bool_]
_Core: TypeAlias = tuple[tuple[_Int64, _Int64, _Float64], tuple[_Int64, _Int64, _Float64]]


@dataclass(frozen=True, eq=False)
class Places:
    """Gains on places of one T for each ablation of a batch.

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
    def of(cls, rows: Sequence[Ablation], gate: str = "") -> Places:
        """What these ablations do to the T of a gate, in order."""
        rectangles = [
            [
                (place, gain)
                for of, place, gain in zip(row.gates, row.rectangles, row.gains, strict=True)
                if of == gate
            ]
            for row in rows
        ]
        blocks = [
            [
                (place, gain)
                for of, place, gain in zip(
                    row.block_gates, row.blocks, row.block_gains, strict=True
                )
                if of == gate
            ]
            for row in rows
        ]
        return cls(*_arrays(rectangles, 4), *_arrays(blocks, 2))

    @classmethod
    def of_pairs(cls, schur: OrderedSchur, pairs: _Int64, gains: _Float64) -> Places:
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
    def joined(cls, parts: Sequence[Places]) -> Places:
        """The ablations of all parts, in order."""
        return cls(
            _offsets(np.concatenate([np.diff(part.offsets) for part in parts])),
            np.concatenate([part.rectangles for part in parts]),
            np.concatenate([part.gains for part in parts]),
            _offsets(np.concatenate([np.diff(part.block_offsets) for part in parts])),
            np.concatenate([part.blocks for part in parts]),
            np.concatenate([part.block_gains for part in parts]),
        )

    def unions(self, members: _Bool) -> Places:
        """One ablation for each row of `members`, (rows, ablations): all its members at once."""
        taken = np.repeat(members, np.diff(self.offsets), axis=1)
        blocks_taken = np.repeat(members, np.diff(self.block_offsets), axis=1)
        place, block = np.nonzero(taken)[1], np.nonzero(blocks_taken)[1]
        return Places(
            _offsets(taken.sum(axis=1)),
            self.rectangles[place],
            self.gains[place],
            _offsets(blocks_taken.sum(axis=1)),
            self.blocks[block],
            self.block_gains[block],
        )

    def mask(self, schur: OrderedSchur) -> _Bool:
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

    @property
    def named(self) -> _Bool:
        """Whether each ablation has places here: (ablations,)."""
        found: _Bool = (np.diff(self.offsets) > 0) | (np.diff(self.block_offsets) > 0)
        return found

    def rows(self, first: int, end: int) -> Places:
        """Ablations first to end - 1."""
        places = slice(self.offsets[first], self.offsets[end])
        blocks = slice(self.block_offsets[first], self.block_offsets[end])
        return Places(
            self.offsets[first : end + 1] - self.offsets[first],
            self.rectangles[places],
            self.gains[places],
            self.block_offsets[first : end + 1] - self.block_offsets[first],
            self.blocks[blocks],
            self.block_gains[blocks],
        )

    def core_arguments(self) -> _Core:
        """The arguments of the core's functions on the ablations of one T."""
        return (
            (self.offsets, self.rectangles, self.gains),
            (self.block_offsets, self.blocks, self.block_gains),
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Gains on places of the T of each gate, for each ablation of a batch.

    Attributes
    ----------
    parts : tuple of Places
        One for each gate, all of the same ablations.
    """

    parts: tuple[Places, ...]

    @classmethod
    def of(cls, rows: Sequence[Ablation], gates: Sequence[str] = ("",)) -> Batch:
        """The batch of these ablations, in order."""
        return cls(tuple(Places.of(rows, gate) for gate in gates))

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """The ablations of all batches, in order."""
        gates = zip(*(batch.parts for batch in batches), strict=True)
        return cls(tuple(map(Places.joined, gates)))

    def unions(self, members: _Bool) -> Batch:
        """One ablation for each row of `members`, (rows, ablations): all its members at once."""
        return Batch(tuple(part.unions(members) for part in self.parts))

    def masks(self, schurs: Sequence[OrderedSchur]) -> list[_Bool]:
        """Masks of the entries of each T that some ablation scales: (N_h, N_h) for each gate."""
        return [part.mask(schur) for part, schur in zip(self.parts, schurs, strict=True)]

    def __len__(self) -> int:
        """Number of ablations."""
        return len(self.parts[0])

    @property
    def named(self) -> _Bool:
        """Whether each ablation has places in the T of each gate: (ablations, gates)."""
        return np.stack([part.named for part in self.parts], axis=1)

    def rows(self, first: int, end: int) -> Batch:
        """Ablations first to end - 1."""
        return Batch(tuple(part.rows(first, end) for part in self.parts))

    def core_arguments(self) -> list[_Core]:
        """The arguments of the core's functions on ablations of a network."""
        return [part.core_arguments() for part in self.parts]


def _offsets(counts: Iterable[int] | _Int64) -> _Int64:
    return np.cumsum([0, *counts], dtype=np.int64)


def _arrays(
    rows: Sequence[Sequence[tuple[tuple[int, ...], float]]], size: int
) -> tuple[_Int64, _Int64, _Float64]:
    """Offsets, places (n, size) and gains of places with gains."""
    places = [place for row in rows for place, _ in row]
    return (
        _offsets(map(len, rows)),
        np.array(places, dtype=np.int64).reshape(-1, size),
        np.array([gain for row in rows for _, gain in row], dtype=np.float64),
    )
