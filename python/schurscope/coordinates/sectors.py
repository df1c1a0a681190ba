"""The cut of an ordered Schur form into sectors R and C, and of N into couplings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .._internal.checks import choice, shown
from .._internal.html import facts

if TYPE_CHECKING:
    from .conditioning import Conditioning
    from .schur import OrderedSchur

__all__ = ["COUPLINGS", "Sectors", "coupling_names", "couplings"]

_Int64 = npt.NDArray[np.int64]

couplings = ("RR", "CR", "CC")
"""T_RR, T_CR (rows in R, columns in C) and T_CC."""

COUPLINGS = (*couplings, "BB")
"""The couplings of N, and BB, the nonnormality inside the 2x2 blocks of B."""


@dataclass(frozen=True, eq=False)
class Sectors:
    """The cut of an ordered Schur form into R, its leading rows, and C, the rest.

    Attributes
    ----------
    alpha : float
        R holds the eigenvalues with ``|lambda| >= (alpha - 1e-12) * rho``; in orders other than
        modulus, the key replaces the modulus and the largest key replaces rho.
    n_R : int
        Number of rows in R. Blocks are never split. R ends with the last block that reaches the
        cut, even if a refused swap left a smaller key before it.
    gap : float
        Smallest key in R minus largest key in C, over the largest key: the margin of the cut.
        Infinite if C is empty.
    schur : OrderedSchur
        The Schur form that is cut.
    """

    alpha: float
    n_R: int
    gap: float
    schur: OrderedSchur = field(repr=False)

    @property
    def starts(self) -> _Int64:
        """First row of each diagonal block: (n_blocks,) int64."""
        return self.schur.starts

    @property
    def n_hidden(self) -> int:
        """N_h."""
        return self.schur.n_hidden

    @property
    def conditioning(self) -> Conditioning:
        """How well the cut is determined at the precision of the weights; computed on access."""
        return self.schur.conditioning(self)

    @property
    def determined(self) -> bool:
        """Whether R and C survive the rounding of the weights; `conditioning.reason` if not."""
        return self.conditioning.determined

    @property
    def warning(self) -> str:
        """Why the cut is not determined and what to do; empty if it is."""
        if self.determined:
            return ""
        return (
            f"the cut at alpha={self.alpha:g} is not determined: {self.conditioning.reason}. RR, "
            "CR and CC mean little here; choose an alpha where the spectrum has a larger gap"
        )

    @property
    def noise_radius(self) -> float:
        """Largest movement of an eigenvalue's key under rounding of the weights."""
        return self.conditioning.noise_radius

    @property
    def null_dimensions(self) -> int:
        """Number of eigenvalues that rounding of the weights does not distinguish from 0."""
        return sum(self.conditioning.null_dimensions)

    def mask(self, coupling: str) -> npt.NDArray[np.bool_]:
        """Mask of a coupling in T: (N_h, N_h).

        RR, CR and CC lie strictly above the diagonal blocks. BB is the two entries off the diagonal
        of each 2x2 block.

        Raises
        ------
        ValueError
            `coupling` is not ``"RR"``, ``"CR"``, ``"CC"`` or ``"BB"``.
        """
        if choice(coupling, "coupling", COUPLINGS) == "BB":
            first = self.starts[self.schur.block_sizes == 2]
            within = np.zeros((self.n_hidden, self.n_hidden), dtype=np.bool_)
            within[first, first + 1] = within[first + 1, first] = True
            return within
        first_row, end_row, first_column, end_column = self._rectangle(coupling)
        block = self.schur.block_of_row
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
        asked = coupling_names(names, couplings)
        rows = [self._rectangle(name) for name in couplings if name in asked]
        return np.array(rows, dtype=np.int64).reshape(-1, 4)

    def _repr_html_(self) -> str:
        found = self.conditioning
        sure = len(set(found.n_R_range)) == 1
        span = "" if sure else ", but {} to {} under rounding".format(*found.n_R_range)
        named = {
            "alpha": f"{self.alpha:g}",
            "n_R": f"{self.n_R} of {self.n_hidden}{span}",
            "gap": f"{self.gap:.3g}",
            "rank": found.rank,
            "null dimensions in R, C": "{}, {}".format(*found.null_dimensions),
            "movement of R's projector": f"{found.projector_movement:.2g}",
            "movement of CR": f"{found.CR_movement:.2g}",
        }
        verdict = self.warning or "Rounding of the weights leaves this cut as it is."
        return facts("Sectors", named, [verdict])

    def places(self, names: Iterable[str]) -> tuple[_Int64, _Int64]:
        """Rectangles (n, 4) of the named couplings of N, and rows (n, 2) of the blocks of BB.

        TypeError or ValueError as for `rectangles`.
        """
        asked = coupling_names(names, COUPLINGS)
        blocks = np.array([(0, self.n_hidden)] * ("BB" in asked), dtype=np.int64).reshape(-1, 2)
        return self.rectangles(asked - {"BB"}), blocks

    def _rectangle(self, name: str) -> tuple[int, int, int, int]:
        R, C = (0, self.n_R), (self.n_R, self.n_hidden)
        return {"RR": (*R, *R), "CR": (*R, *C), "CC": (*C, *C)}[name]


def coupling_names(names: Iterable[str], known: tuple[str, ...]) -> set[str]:
    """The named couplings; TypeError or ValueError unless they are a collection of known ones."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(
            f'couplings must be a collection of names, such as {{"RR", "CC"}}, got {shown(names)}'
        )
    return {choice(name, "couplings", known) for name in names}
