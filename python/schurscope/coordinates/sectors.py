"""The cut of an ordered Schur form into sectors R and C, and of N into couplings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._internal.checks import choice, shown

__all__ = ["Sectors", "couplings"]

_Int64 = npt.NDArray[np.int64]

couplings = ("RR", "CR", "CC")
"""T_RR, T_C→R (rows in R, columns in C) and T_CC."""


@dataclass(frozen=True, eq=False)
class Sectors:
    """The cut of an ordered Schur form into R, its leading rows, and C, the rest.

    Attributes
    ----------
    alpha : float
        R holds the eigenvalues with ``|lambda| >= (alpha - 1e-12) * rho``; in the other
        orders, their key replaces the modulus and the largest key replaces rho.
    n_R : int
        Number of rows in R. Blocks are never split. R ends with the last block that reaches the
        cut, even if a refused swap left a smaller key before it.
    gap : float
        Smallest key in R minus largest key in C, over the largest key: the margin of the cut.
        Infinite if C is empty.
    starts : (n_blocks,) int64
        First row of each diagonal block.
    n_hidden : int
        N_h.
    """

    alpha: float
    n_R: int
    gap: float
    starts: _Int64
    n_hidden: int

    def mask(self, coupling: str) -> npt.NDArray[np.bool_]:
        """Mask of a coupling in T: (N_h, N_h), true only strictly above the diagonal blocks.

        Raises
        ------
        ValueError
            `coupling` is not ``"RR"``, ``"CR"`` or ``"CC"``.
        """
        first_row, end_row, first_column, end_column = self._rectangle(
            choice(coupling, "coupling", couplings)
        )
        block = np.searchsorted(self.starts, np.arange(self.n_hidden), side="right")
        inside = np.zeros((self.n_hidden, self.n_hidden), dtype=np.bool_)
        inside[first_row:end_row, first_column:end_column] = True
        mask: npt.NDArray[np.bool_] = inside & (block[:, None] < block)
        return mask

    def rectangles(self, names: Iterable[str]) -> _Int64:
        """Half-open rectangles (first_row, end_row, first_column, end_column) of T: (n, 4) int64.

        One for each named coupling, in the order RR, CR, CC. They cover diagonal blocks; only
        entries strictly above the blocks belong to the coupling.

        Raises
        ------
        TypeError
            `names` is a string or not a collection.
        ValueError
            A name is not ``"RR"``, ``"CR"`` or ``"CC"``.
        """
        asked = _coupling_names(names)
        rows = [self._rectangle(name) for name in couplings if name in asked]
        return np.array(rows, dtype=np.int64).reshape(-1, 4)

    def _rectangle(self, name: str) -> tuple[int, int, int, int]:
        R, C = (0, self.n_R), (self.n_R, self.n_hidden)
        return {"RR": (*R, *R), "CR": (*R, *C), "CC": (*C, *C)}[name]


def _coupling_names(names: Iterable[str]) -> set[str]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(
            f'couplings must be a collection of names, such as {{"RR", "CC"}}, got {shown(names)}'
        )
    return {choice(name, "couplings", couplings) for name in names}
