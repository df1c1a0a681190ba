"""Array conversions shared by several folders."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["one_hot"]


def one_hot(classes: npt.NDArray[np.integer], n_classes: int, name: str) -> npt.NDArray[np.float64]:
    """One-hot vectors (…, n_classes) of class indices; ValueError if one is out of range."""
    if classes.size and not (classes.min() >= 0 and classes.max() < n_classes):
        raise ValueError(
            f"{name} must be classes 0 … {n_classes - 1}, because there are {n_classes} channels, "
            f"got {int(classes.min())} … {int(classes.max())}"
        )
    vectors: npt.NDArray[np.float64] = np.equal(classes[..., None], np.arange(n_classes)) * 1.0
    return vectors
