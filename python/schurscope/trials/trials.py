"""Trials: inputs, targets and the weights that say which steps count."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import (
    FloatArray,
    FloatDType,
    cast,
    float_dtype,
    read_only,
    real_array,
    shown,
    step_weights,
)
from .._internal.files import MAX_BYTES, Array, own_entries, read_npz, save_npz
from ..ablation.measures import TargetStatistics

if TYPE_CHECKING:
    from neurogym import Dataset

    from .._internal.checks import Rng

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
        targets = _any(self.targets, "targets")
        _refuse_classes(targets)
        _refuse_swapped_axes(inputs, targets)
        arrays = {
            "inputs": inputs,
            "targets": real_array(targets, "targets", (*steps, "N_y"), because=because),
        }
        if self.weights is not None:
            arrays["weights"] = step_weights(self.weights, steps, because)
        if self.h_0 is not None:
            arrays["h_0"] = real_array(self.h_0, "h_0", (steps[0], "N_h"), because=because)
        dtype = np.result_type(*arrays.values())
        for name, array in arrays.items():
            object.__setattr__(self, name, read_only(cast(array, dtype, name)))

    @classmethod
    def from_arrays(
        cls,
        inputs: npt.ArrayLike,
        targets: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        h_0: npt.ArrayLike | None = None,
        *,
        axes: str = "BTF",
    ) -> Trials:
        """Trials of arrays whose axes are in another order.

        Parameters
        ----------
        inputs, targets : array of three axes
        weights : array of two axes, optional
            In the same order, without channels.
        h_0 : (trials, N_h), optional
        axes : str
            The order of the axes: B trials (batch), T steps (time), F channels (features).
            ``"TBF"`` is PyTorch's default, ``"FTB"`` that of trainRNNbrain.

        Raises
        ------
        TypeError, ValueError
            As for `Trials`; `axes` that are not the three letters in some order.
        """
        if sorted(str(axes)) != ["B", "F", "T"]:
            raise ValueError(
                "axes must be the letters B (trials), T (steps) and F (channels) in the order of "
                f'the arrays, such as "BTF" or "TBF", got {shown(axes)}'
            )
        order = [axes.index(letter) for letter in "BTF"]
        without_channels = [0, 1] if axes.index("B") < axes.index("T") else [1, 0]
        return cls(
            _moved(inputs, "inputs", order),
            _moved(targets, "targets", order),
            None if weights is None else _moved(weights, "weights", without_channels),
            None if h_0 is None else _any(h_0, "h_0"),
        )

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

    @cached_property
    def statistics(self) -> TargetStatistics:
        """What the denominators of the measures need of the targets, computed once."""
        return TargetStatistics.of(self.targets, self.step_weights)

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
    def load(
        cls, path: str | os.PathLike[str], *, axes: str = "BTF", max_bytes: int = MAX_BYTES
    ) -> Trials:
        """Read a file of `save`, bit for bit, or an .npz of your own. Nothing is ever unpickled.

        Your own has the entries inputs and targets, or x and y, and perhaps weights and h_0, with
        their axes in the order `axes`; see `from_arrays`. A compressed file that would unpack to
        more than `max_bytes` is refused.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            It is damaged or does not hold trials.
        """
        arrays, skipped = read_npz(path, max_bytes)
        if "format" in arrays or "format" in skipped:
            arrays = own_entries(path, arrays, skipped, _FORMAT, _ARRAYS[:2], _ARRAYS[2:])
        else:
            arrays = _plain_entries(path, arrays)
        try:
            return cls.from_arrays(**arrays, axes=axes)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} does not hold valid trials: {error}") from error

    @classmethod
    def from_neurogym(
        cls,
        dataset: Dataset,
        n_trials: int,
        seed: Rng,
        *,
        make: Callable[[], Any] | None = None,
    ) -> Trials:
        """Sequences of a neurogym data set, repeatable.

        Each has ``dataset.seq_len`` steps and begins with a trial of the task, which others follow
        until the sequence is full. A ``neurogym.Dataset`` draws and keeps trials before it can be
        seeded; so its environment is made anew from its id and arguments, and what was done to it
        or drawn from it before makes no difference. The data set itself is left alone.

        Targets that are classes, such as the actions of a decision, become one-hot vectors: N_y is
        their number, and ``targets.argmax(2)`` gives the classes back. They suit a network trained
        with the mean squared error, of which FVU tells the part that is left. The outputs of one
        trained with cross entropy are logits, whose size means nothing: score their argmax with
        `ablate_with`. The weights are None. Most steps of most tasks ask only for fixation (class
        0); ``Trials(t.inputs, t.targets, t.targets[..., 0] == 0)`` counts the others.

        Parameters
        ----------
        dataset : neurogym.Dataset
        n_trials : int
            Number of sequences. Fewer with the same seed are the first of more.
        seed : numpy.random.Generator, SeedSequence, int or None
            Decides every trial; None is fresh entropy, which cannot be repeated.
        make : callable, optional
            Makes the data set's environment, ready to be seeded, where
            ``neurogym.make(id, **arguments)`` does not: with wrappers, or never registered.

        Raises
        ------
        TypeError, ValueError
            `dataset` is something else; its environment cannot be made anew, or gives other trials
            when they are drawn a second time with the same seed; observations that are no vectors,
            or targets that are neither vectors nor classes.
        ImportError
            neurogym is not installed.
        """
        from .neurogym import neurogym_sequences

        return cls(*neurogym_sequences(dataset, n_trials, seed, make))

    def __repr__(self) -> str:
        extras = [name for name in _ARRAYS[2:] if getattr(self, name) is not None]
        shapes = f"inputs {self.inputs.shape}, targets {self.targets.shape}"
        return f"Trials({', '.join([shapes, *extras, str(self.dtype)])})"


_ARRAYS = ("inputs", "targets", "weights", "h_0")
_SHORT = {"inputs": "x", "targets": "y"}


def _plain_entries(path: str | os.PathLike[str], arrays: dict[str, Array]) -> dict[str, Array]:
    """The entries of an archive that `Trials.save` did not write."""
    found = {name: arrays[name] for name in _ARRAYS if name in arrays}
    for name, short in _SHORT.items():
        if name in arrays and short in arrays:
            raise ValueError(f"{path} must have {name} or {short}, got both")
        if short in arrays:
            found[name] = arrays[short]
        if name not in found:
            raise ValueError(
                f"{path} must hold {name} (or {short}), got {', '.join(arrays) or 'no arrays'}"
            )
    return found


def _any(array: npt.ArrayLike, name: str) -> FloatArray:
    """Real numbers of any shape, to be checked further."""
    return real_array(array, name, None, allow_empty=True, allow_nonfinite=True)


def _moved(array: npt.ArrayLike, name: str, order: list[int]) -> FloatArray:
    given = _any(array, name)
    if name == "targets":
        _refuse_classes(given)
    if given.ndim != len(order):
        raise ValueError(f"{name} must have {len(order)} axes, got shape {given.shape}")
    return given.transpose(order)


def _refuse_classes(targets: FloatArray) -> None:
    """ValueError if targets have no axis of channels, as the indices of classes have none."""
    if targets.ndim == 2:
        raise ValueError(
            f"targets must be (trials, steps, N_y), got shape {targets.shape}. Class indices need "
            "one-hot vectors, numpy.eye(n_classes)[targets]; one output channel needs "
            "targets[..., numpy.newaxis]"
        )


def _refuse_swapped_axes(inputs: FloatArray, targets: FloatArray) -> None:
    """ValueError if one array has trials first and the other steps."""
    if targets.ndim != 3 or inputs.shape[0] == inputs.shape[1]:
        return
    if targets.shape[:2] != inputs.shape[1::-1]:
        return
    # From step to step most signals change less than from trial to trial.
    change = [np.abs(np.diff(inputs.astype(float), axis=axis)).mean() for axis in (0, 1)]
    time = int(change[1] < change[0])
    name = "inputs" if time == 0 else "targets"
    raise ValueError(
        "inputs and targets must both be (trials, steps, channels), got inputs "
        f"{inputs.shape} and targets {targets.shape}, whose first two axes are swapped. Axis "
        f"{time} of inputs looks like time, since values change less along it: swap the axes of "
        f"{name} with numpy.swapaxes({name}, 0, 1). Where both have time first, there is "
        'Trials.from_arrays(inputs, targets, axes="TBF")'
    )


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
