"""S_ΔT, the effect of an ablation per unit of removed Schur mass."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..._internal.checks import real_array

__all__ = ["sensitivity"]

_Float64: TypeAlias = npt.NDArray[np.float64]


def sensitivity(
    change: npt.ArrayLike, removed_mass: npt.ArrayLike, vacuous: npt.ArrayLike | None = None
) -> _Float64:
    """S_ΔT = change / removed_mass: the effect of ablations per unit of removed Schur mass.

    Parameters
    ----------
    change : array
        Value of the measure with the ablation minus the value without.
    removed_mass : array of the same shape
        ‖ΔT‖_F / ‖T‖_F, at least 0.
    vacuous : boolean array of the same shape, optional
        Ablations that remove nothing: their sensitivity is undefined, NaN. None means those with
        removed_mass = 0.

    Raises
    ------
    TypeError, ValueError
        Arrays are not real numbers, or their shapes differ; `removed_mass` is negative, or 0 where
        `vacuous` is false.
    """
    effect = real_array(change, "change", None, allow_nonfinite=True, allow_empty=True)
    because = f"change has shape {effect.shape}"
    mass = real_array(removed_mass, "removed_mass", effect.shape, because=because, allow_empty=True)
    if (mass < 0).any():
        raise ValueError(f"removed_mass must be at least 0, got {mass.min():g}")
    undefined = mass == 0 if vacuous is None else np.asarray(vacuous)
    if undefined.dtype != np.bool_ or undefined.shape != effect.shape:
        raise ValueError(
            f"vacuous must be boolean of shape {effect.shape} because {because}, "
            f"got {undefined.dtype} {undefined.shape}"
        )
    if (mass[~undefined] == 0).any():
        raise ValueError("removed_mass must be positive where vacuous is false, got 0")
    result = np.full(effect.shape, np.nan)
    np.divide(effect, mass, out=result, where=~undefined)
    return result
