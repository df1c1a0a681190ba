"""Trials: inputs, targets and the weights that say which steps count."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._files import load_npz, save_npz
from ._validation import (
    FloatArray,
    FloatDType,
    cast,
    float_dtype,
    read_only,
    real_array,
    step_weights,
)

__all__ = ["Trials", "frozen_trials"]

_FORMAT = "schurscope-trials-1"


@dataclass(frozen=True, eq=False, repr=False)
class Trials:
    """Inputs and targets of a task, and which steps count.

    The arrays are read-only copies in one dtype: float32 if all are float32, else float64 (widening
    is exact; integers and booleans become float64).

    Attributes
    ----------
    inputs : (trials, steps, N_x)
    targets : (trials, steps, N_y)
    weights : (trials, steps) or None
        Nonnegative weight of each step in the loss and the measures; None means ones.
    h_0 : (trials, N_h) or None
        State of the network before the first step of each trial; None means the network's own.

    Raises
    ------
    TypeError
        An array is float16, longdouble, complex, object, text or masked.
    ValueError
        Shapes that do not agree, no trial, no step, no channel, NaN or infinity, a negative weight,
        or weights that are all zero.
    """

    inputs: FloatArray
    targets: FloatArray
    weights: FloatArray | None = None
    h_0: FloatArray | None = None

    def __post_init__(self) -> None:
        inputs = real_array(self.inputs, "inputs", ("trials", "steps", "N_x"))
        steps = inputs.shape[:2]
        because = f"inputs has shape {inputs.shape}"
        arrays = {
            "inputs": inputs,
            "targets": real_array(self.targets, "targets", (*steps, "N_y"), because=because),
        }
        if self.weights is not None:
            arrays["weights"] = step_weights(self.weights, steps, because)
        if self.h_0 is not None:
            arrays["h_0"] = real_array(self.h_0, "h_0", (steps[0], "N_h"), because=because)
        dtype = np.result_type(*arrays.values())
        for name, array in arrays.items():
            object.__setattr__(self, name, read_only(cast(array, dtype, name)))

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return int(self.inputs.shape[0])

    @property
    def n_steps(self) -> int:
        """Number of time steps of each trial."""
        return int(self.inputs.shape[1])

    @property
    def n_inputs(self) -> int:
        """Number of input channels N_x."""
        return int(self.inputs.shape[2])

    @property
    def n_outputs(self) -> int:
        """Number of target channels N_y."""
        return int(self.targets.shape[2])

    @property
    def dtype(self) -> FloatDType:
        """float32 or float64."""
        return self.inputs.dtype

    @property
    def step_weights(self) -> FloatArray:
        """The weights as an array (trials, steps): ones where `weights` is None."""
        if self.weights is None:
            return np.ones(self.inputs.shape[:2], self.dtype)
        return self.weights

    def astype(self, dtype: npt.DTypeLike) -> Trials:
        """These trials, rounded to float32 or widened to float64; itself if it has that dtype.

        ValueError if a value has no finite counterpart in `dtype`.
        """
        wanted = float_dtype(dtype)
        if wanted == self.dtype:
            return self
        return frozen_trials(
            cast(self.inputs, wanted, "inputs"),
            cast(self.targets, wanted, "targets"),
            None if self.weights is None else cast(self.weights, wanted, "weights"),
            None if self.h_0 is None else cast(self.h_0, wanted, "h_0"),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an .npz file to exactly `path`: whole, or not at all."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        save_npz(path, _FORMAT, {name: a for name, a in arrays.items() if a is not None})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trials:
        """Read a file of `save`, bit for bit. Nothing in it is ever unpickled.

        OSError if it cannot be read; ValueError if it is damaged or not such a file.
        """
        arrays = load_npz(path, _FORMAT, _ARRAYS[:2], _ARRAYS[2:])
        try:
            return cls(**arrays)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} does not hold valid trials: {error}") from error

    def __repr__(self) -> str:
        extras = [name for name in _ARRAYS[2:] if getattr(self, name) is not None]
        shapes = f"inputs {self.inputs.shape}, targets {self.targets.shape}"
        return f"Trials({', '.join([shapes, *extras, str(self.dtype)])})"


_ARRAYS = ("inputs", "targets", "weights", "h_0")


def frozen_trials(
    inputs: FloatArray,
    targets: FloatArray,
    weights: FloatArray | None,
    h_0: FloatArray | None = None,
) -> Trials:
    """Trials of arrays that the package has just made: frozen in place, not copied, not checked.

    At the rate at which training draws trials, checks and copies would cost more than the trials.
    """
    trials = object.__new__(Trials)
    for name, array in zip(_ARRAYS, (inputs, targets, weights, h_0), strict=True):
        if array is not None:
            array.flags.writeable = False
        object.__setattr__(trials, name, array)
    return trials
