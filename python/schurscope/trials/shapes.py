"""Arrays of trials whose axes are in another order, or confused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray, real_array

__all__ = [
    "any_real",
    "any_real_or_none",
    "class_indices",
    "moved",
    "padded",
    "padded_trials",
    "refuse_classes",
    "refuse_swapped_axes",
    "without_channels",
]


def any_real(array: npt.ArrayLike, name: str) -> FloatArray:
    """Real numbers of any shape, for further checks."""
    return real_array(array, name, None, allow_empty=True, allow_nonfinite=True)


def any_real_or_none(array: npt.ArrayLike | None, name: str) -> FloatArray | None:
    """The same for an array that may be left out."""
    return None if array is None else any_real(array, name)


def moved(array: npt.ArrayLike, name: str, order: list[int]) -> FloatArray:
    """The array with its axes in `order`; ValueError if their number differs.

    Weights may lack the last axis of the result, that of the channels.
    """
    given = any_real(array, name)
    if name == "weights" and given.ndim == len(order) - 1:
        order = [axis - (axis > order[-1]) for axis in order[:-1]]
    if name == "targets":
        refuse_classes(given)
    if given.ndim != len(order):
        raise ValueError(f"{name} must have {len(order)} axes, got shape {given.shape}")
    return given.transpose(order)


def padded(arrays: Sequence[npt.ArrayLike], name: str, steps: Sequence[int] | None) -> FloatArray:
    """Arrays of one trial each, (steps, …), as one array; short ones end in zeros.

    ValueError unless they have the given numbers of steps and agree in their other axes.
    """
    if steps is not None and len(arrays) != len(steps):
        raise ValueError(
            f"{name} must hold one array for each of the {len(steps)} trials, got {len(arrays)}"
        )
    trials = [any_real(array, f"{name}[{place}]") for place, array in enumerate(arrays)]
    if not trials:
        raise ValueError(f"{name} must hold at least one trial, got none")
    for place, trial in enumerate(trials):
        wanted = (len(trial) if steps is None else steps[place], *trials[0].shape[1:])
        if trial.shape != wanted:
            raise ValueError(f"{name}[{place}] must have shape {wanted}, got {trial.shape}")
    longest = max(len(trial) for trial in trials)
    whole = np.zeros((len(trials), longest, *trials[0].shape[1:]), np.result_type(*trials))
    for row, trial in zip(whole, trials, strict=True):
        row[: len(trial)] = trial
    return whole


def without_channels(inputs: FloatArray) -> FloatArray:
    """Targets without channels for inputs (trials, steps, N_x): (trials, steps, 0)."""
    return np.empty((*inputs.shape[:2], 0), inputs.dtype)


def padded_trials(
    inputs: Sequence[npt.ArrayLike],
    targets: Sequence[npt.ArrayLike] | None,
    weights: Sequence[npt.ArrayLike] | None,
) -> tuple[FloatArray, FloatArray | None, FloatArray]:
    """Inputs, targets and weights of trials of unequal length; the padding has weight 0."""
    x = padded(inputs, "inputs", None)
    steps = [len(np.asarray(trial)) for trial in inputs]
    y = None if targets is None else padded(targets, "targets", steps)
    ones = [np.ones(n, x.dtype) for n in steps]
    return x, y, padded(ones if weights is None else weights, "weights", steps)


def class_indices(classes: npt.ArrayLike) -> npt.NDArray[Any]:
    """Integers (trials, steps); TypeError for anything else."""
    indices = np.asarray(classes)
    if indices.ndim != 2 or indices.dtype.kind not in "iu":
        raise TypeError(
            "classes must be integers (trials, steps), got "
            f"{indices.dtype} of shape {indices.shape}"
        )
    return indices


def refuse_classes(targets: FloatArray) -> None:
    """ValueError if targets have no channel axis, as class indices have none."""
    if targets.ndim == 2:
        raise ValueError(
            f"targets must be (trials, steps, N_y), got shape {targets.shape}. For class indices "
            "use Trials.from_classes(inputs, classes, n_classes); one output channel needs "
            "targets[..., numpy.newaxis]"
        )


def refuse_swapped_axes(inputs: FloatArray, targets: FloatArray) -> None:
    """ValueError if one array has trials first and the other steps."""
    if targets.ndim != 3 or inputs.shape[0] == inputs.shape[1]:
        return
    if targets.shape[:2] != inputs.shape[1::-1]:
        return
    # Most signals change less from step to step than from trial to trial.
    change = [np.abs(np.diff(inputs.astype(float), axis=axis)).mean() for axis in (0, 1)]
    time = int(change[1] < change[0])
    name = "inputs" if time == 0 else "targets"
    raise ValueError(
        "inputs and targets must both be (trials, steps, channels), got inputs "
        f"{inputs.shape} and targets {targets.shape}, whose first two axes are swapped. Axis "
        f"{time} of inputs looks like time, since values change less along it: swap the axes of "
        f"{name} with numpy.swapaxes({name}, 0, 1). If both have time first, use "
        'Trials.from_arrays(inputs, targets, axes="TBF")'
    )
