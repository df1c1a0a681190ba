"""Correction of p-values for the number of tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["holm"]


def holm(p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Holm's step-down correction: adjusted p-values, to be compared with one common level.

    The i-th smallest of m is multiplied by m - i + 1; the products are made nondecreasing in the
    order of the p-values and capped at 1. NaN stays NaN and does not count as a test. Source: S.
    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6 (1979).
    """
    given = np.asarray(p, dtype=np.float64)
    corrected = np.full(given.shape, np.nan)
    tests = np.flatnonzero(np.isfinite(given))
    order = tests[np.argsort(given[tests], kind="stable")]
    steps = given[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(order) else steps
    return corrected
