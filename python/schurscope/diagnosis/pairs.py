"""The pairs of diagonal blocks of each T, the smallest couplings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ablation.batch import Batch, Places
from ..coordinates.forms import Coordinates, Cuts
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import COUPLINGS, Sectors

__all__ = ["Pairs"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every pair of blocks I < J of each ordered Schur form, and (I, I) for each 2x2 block.

    Attributes
    ----------
    coordinates : Coordinates
    gate : (pairs,)
        The number of the gate, nondecreasing; 0 for the vanilla cell.
    blocks : (pairs, 2)
        Block indices I <= J of that gate's T, ordered by I, then J.
    entries : tuple of (D, labels), (N_h, N_h) each
        For each gate what the removal of all pairs takes from T, N and the nonnormal part of the
        2x2 blocks; and the pair of each entry, counted over all gates, -1 where there is none.
    """

    coordinates: Coordinates
    gate: _Int64
    blocks: _Int64
    entries: tuple[tuple[_Float64, _Int64], ...]

    @classmethod
    def of(cls, coordinates: Coordinates) -> Pairs:
        """The pairs of these Schur forms."""
        gate, blocks, entries, count = [], [], [], 0
        for number, schur in enumerate(coordinates.schurs):
            found, D, labels = _pairs_of(schur)
            gate.append(np.full(len(found), number))
            blocks.append(found)
            entries.append((D, np.where(labels < 0, -1, labels + count)))
            count += len(found)
        return cls(coordinates, np.concatenate(gate), np.concatenate(blocks), tuple(entries))

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.blocks)

    @property
    def gate_names(self) -> npt.NDArray[np.str_]:
        """The gate of each pair; empty text for the vanilla cell."""
        return np.array(self.coordinates.gates)[self.gate]

    @property
    def squares(self) -> _Float64:
        """‖D_p‖_F², the squared mass of each pair: (pairs,)."""
        return self.total([np.square(D) for D, _ in self.entries])

    @property
    def mass(self) -> _Float64:
        """‖D_p‖_F / ‖T‖_F of each pair, T being its gate's: (pairs,)."""
        norms = self.coordinates.norms[self.gate]
        return np.sqrt(self.squares) / np.where(norms > 0, norms, 1.0)

    def total(self, entries: list[Any]) -> _Float64:
        """Sums of (N_h, N_h) entries of each gate over each pair: (pairs,)."""
        sums = np.zeros(len(self))
        for values, (_, labels) in zip(entries, self.entries, strict=True):
            inside = labels >= 0
            sums += np.bincount(labels[inside], values[inside], minlength=len(self))
        return sums

    def batch(self, gains: _Float64, which: _Int64 | _Bool | None = None) -> Batch:
        """One ablation for each row of gains, (ablations, pairs), on all pairs or on some."""
        gate, blocks = self.gate, self.blocks
        if which is not None:
            gate, blocks = gate[which], blocks[which]
        return Batch(
            tuple(
                Places.of_pairs(schur, blocks[gate == number], gains[:, gate == number])
                for number, schur in enumerate(self.coordinates.schurs)
            )
        )

    def couplings(self, cuts: Cuts) -> npt.NDArray[np.str_]:
        """``"RR"``, ``"CR"``, ``"CC"`` or ``"BB"`` for each pair."""
        names = [
            _couplings(self.blocks[self.gate == number], cuts[gate])
            for number, gate in enumerate(self.coordinates.gates)
        ]
        return np.concatenate(names)


def _pairs_of(schur: OrderedSchur) -> tuple[_Int64, _Float64, _Int64]:
    """Blocks (pairs, 2), D and labels of one Schur form."""
    n_blocks, twos = len(schur.starts), schur.block_sizes == 2
    chosen = np.triu(np.ones((n_blocks, n_blocks), dtype=np.bool_), 1) | np.diag(twos)
    blocks = np.argwhere(chosen)
    number = np.full((n_blocks, n_blocks), -1)
    number[chosen] = np.arange(len(blocks))
    block = schur.block_of_row
    labels = number[block[:, None], block]
    D = schur.T - schur.Q.T @ schur.ablated(COUPLINGS) @ schur.Q
    # Exact zeros where nothing can be removed, and N itself, not its rounded image.
    between = block[:, None] < block
    D = np.where(between, schur.T, np.where(schur.sectors().mask("BB"), D, 0.0))
    return blocks, D, np.ascontiguousarray(labels)


def _couplings(blocks: _Int64, sectors: Sectors) -> npt.NDArray[np.str_]:
    in_R = sectors.starts < sectors.n_R
    first, last = in_R[blocks].T
    names = np.where(last, "RR", np.where(first, "CR", "CC"))
    return np.where(blocks[:, 0] == blocks[:, 1], "BB", names)
