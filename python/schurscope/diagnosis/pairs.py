"""The pairs of diagonal blocks of T, the smallest couplings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import COUPLINGS, Sectors

__all__ = ["Pairs"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every pair of blocks I < J of an ordered Schur form, and (I, I) for each 2x2 block.

    Attributes
    ----------
    schur : OrderedSchur
    blocks : (pairs, 2)
        Block indices I <= J, ordered by I, then J.
    D : (N_h, N_h)
        What the removal of all pairs takes from T: N, and the nonnormal part of the 2x2 blocks.
    labels : (N_h, N_h)
        The pair of each entry; -1 where there is none.
    """

    schur: OrderedSchur
    blocks: _Int64
    D: _Float64
    labels: _Int64

    @classmethod
    def of(cls, schur: OrderedSchur) -> Pairs:
        """The pairs of this Schur form."""
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
        return cls(schur, blocks, D, np.ascontiguousarray(labels))

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.blocks)

    @property
    def squares(self) -> _Float64:
        """‖D_p‖_F², the squared mass of each pair: (pairs,)."""
        return self.total(np.square(self.D))

    @property
    def mass(self) -> _Float64:
        """‖D_p‖_F / ‖T‖_F of each pair: (pairs,)."""
        norm = float(np.linalg.norm(self.schur.T))
        return np.sqrt(self.squares) / norm if norm > 0 else np.zeros(len(self))

    def total(self, entries: _Float64) -> _Float64:
        """Sums of (N_h, N_h) entries over each pair: (pairs,)."""
        inside = self.labels >= 0
        sums = np.bincount(self.labels[inside], entries[inside], minlength=len(self))
        return sums.astype(np.float64)

    def couplings(self, sectors: Sectors) -> npt.NDArray[np.str_]:
        """``"RR"``, ``"CR"``, ``"CC"`` or ``"BB"`` for each pair."""
        in_R = self.schur.starts < sectors.n_R
        first, last = in_R[self.blocks].T
        names = np.where(last, "RR", np.where(first, "CR", "CC"))
        return np.where(self.blocks[:, 0] == self.blocks[:, 1], "BB", names)
