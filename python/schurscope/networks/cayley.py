"""The Cayley parametrisation: a recurrent matrix that stays normal while it is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import FloatArray, cast, float_dtype, keep_read_only, real_array

__all__ = ["Cayley"]


@dataclass(frozen=True, eq=False, repr=False)
class Cayley:
    """Parameters of a recurrent matrix that is normal for all their values.

    W_hh = O D Oᵀ with O = (I - A)(I + A)⁻¹, A = (U - Uᵀ)/2 and
    D = blockdiag([[a, -b], [b, a]], …, r, …). O is orthogonal; a ± ib and r are the eigenvalues.

    The arrays are read-only copies of one dtype, float32 or float64.

    Attributes
    ----------
    U : (N_h, N_h)
        Only its skew-symmetric part matters.
    pairs : (n_pairs, 2)
        a and b of each conjugate pair.
    reals : (N_h - 2 n_pairs,)
        The real eigenvalues.

    Raises
    ------
    TypeError, ValueError
        Arrays are not finite real numbers, or their dtypes or shapes disagree.
    """

    U: FloatArray
    pairs: FloatArray
    reals: FloatArray

    def __post_init__(self) -> None:
        U = real_array(self.U, "U", ("N_h", "N_h"))
        pairs = real_array(self.pairs, "pairs", ("n_pairs", 2), allow_empty=True)
        n_reals = len(U) - 2 * len(pairs)
        if n_reals < 0:
            raise ValueError(
                f"pairs must have at most {len(U) // 2} rows because U has shape {U.shape}, "
                f"got shape {pairs.shape}"
            )
        reals = real_array(
            self.reals,
            "reals",
            (n_reals,),
            because=f"U has shape {U.shape} and pairs has shape {pairs.shape}",
            allow_empty=True,
        )
        keep_read_only(self, {"U": U, "pairs": pairs, "reals": reals})

    def matrix(self) -> FloatArray:
        """W_hh (N_h, N_h), computed in float64 and rounded to the dtype of the parameters."""
        W_hh = np.empty(self.U.shape)
        U, pairs, reals = (part.astype(np.float64) for part in (self.U, self.pairs, self.reals))
        _core.cayley_matrix(U, pairs, reals, W_hh)
        return cast(W_hh, self.U.dtype, "W_hh")

    def astype(self, dtype: npt.DTypeLike) -> Cayley:
        """These parameters in float32 or float64; ValueError if one overflows."""
        wanted = float_dtype(dtype)
        return Cayley(
            cast(self.U, wanted, "U"),
            cast(self.pairs, wanted, "pairs"),
            cast(self.reals, wanted, "reals"),
        )

    def __repr__(self) -> str:
        return (
            f"Cayley(N_h={len(self.U)}, pairs={len(self.pairs)}, reals={len(self.reals)}, "
            f"{self.U.dtype})"
        )
