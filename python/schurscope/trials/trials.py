"""Trials: inputs, targets and the weights that say which steps count."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.arrays import one_hot
from .._internal.checks import (
    FloatArray,
    FloatDType,
    cast,
    float_dtype,
    positive_int,
    read_only,
    real_array,
    shown,
    step_weights,
)
from .._internal.files import MAX_BYTES, Array, own_entries, read_npz, save_npz
from .shapes import any_real, moved, refuse_classes, refuse_swapped_axes, without_channels

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
        None where there are none: N_y is then 0.
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
    targets: FloatArray = None  # type: ignore[assignment] # an array once it is made
    weights: FloatArray | None = None
    h_0: FloatArray | None = None

    def __post_init__(self) -> None:
        inputs = real_array(self.inputs, "inputs", ("trials", "steps", "N_x"))
        steps = inputs.shape[:2]
        because = f"inputs has shape {inputs.shape}"
        arrays = {"inputs": inputs}
        given: FloatArray | None = self.targets
        targets = without_channels(inputs) if given is None else any_real(given, "targets")
        refuse_classes(targets)
        refuse_swapped_axes(inputs, targets)
        arrays["targets"] = real_array(
            targets, "targets", (*steps, "N_y"), because=because, allow_empty=given is None
        )
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
        targets: npt.ArrayLike | None = None,
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
            moved(inputs, "inputs", order),
            None if targets is None else moved(targets, "targets", order),  # type: ignore[arg-type]
            None if weights is None else moved(weights, "weights", without_channels),
            None if h_0 is None else any_real(h_0, "h_0"),
        )

    @classmethod
    def from_classes(
        cls,
        inputs: npt.ArrayLike,
        classes: npt.ArrayLike,
        n_classes: int,
        weights: npt.ArrayLike | None = None,
        h_0: npt.ArrayLike | None = None,
    ) -> Trials:
        """Trials whose targets are one-hot vectors of class indices.

        Parameters
        ----------
        inputs : (trials, steps, N_x)
        classes : (trials, steps) integers
            0 … n_classes - 1.
        n_classes : int
            N_y.
        weights, h_0 : optional
            As for `Trials`.

        Raises
        ------
        TypeError, ValueError
            As for `Trials`; classes that are not integers in the range.
        """
        indices = np.asarray(classes)
        if indices.ndim != 2 or indices.dtype.kind not in "iu":
            raise TypeError(
                "classes must be integers (trials, steps), got "
                f"{indices.dtype} of shape {indices.shape}"
            )
        x = real_array(inputs, "inputs", ("trials", "steps", "N_x"))
        targets = one_hot(indices, positive_int(n_classes, "n_classes"), "classes")
        return cls(
            x,
            targets.astype(x.dtype),
            None if weights is None else any_real(weights, "weights"),
            None if h_0 is None else any_real(h_0, "h_0"),
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
        """Number of target channels N_y; 0 without targets."""
        return int(self.targets.shape[2])

    @property
    def has_targets(self) -> bool:
        """Whether there are targets."""
        return self.n_outputs > 0

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

    def with_targets(self, targets: npt.ArrayLike) -> Trials:
        """The same trials with other targets, (trials, steps, N_y)."""
        return Trials(self.inputs, any_real(targets, "targets"), self.weights, self.h_0)

    def with_weights(self, weights: npt.ArrayLike | None) -> Trials:
        """The same trials with other weights, (trials, steps), in the trials' dtype.

        To judge a decision only at its steps, where the first class asks for fixation::

            trials.with_weights(trials.targets[..., 0] == 0)
        """
        given = None
        if weights is not None:
            given = cast(any_real(weights, "weights"), self.dtype, "weights")
        targets = self.targets if self.has_targets else None
        return Trials(self.inputs, targets, given, self.h_0)  # type: ignore[arg-type]

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
        kept = {name: a for name, a in arrays.items() if a is not None and a.size}
        save_npz(path, _FORMAT, kept)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, axes: str = "BTF", max_bytes: int = MAX_BYTES
    ) -> Trials:
        """Read a file of `save`, bit for bit, or an .npz of your own. Nothing is ever unpickled.

        Your own has the entries inputs and targets, or x and y, and perhaps weights and h_0, with
        their axes in the order `axes`; see `from_arrays`. The targets may be missing. A compressed
        file that would unpack to more than `max_bytes` is refused.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            It is damaged or does not hold trials.
        """
        arrays, skipped = read_npz(path, max_bytes)
        if "format" in arrays or "format" in skipped:
            arrays = own_entries(path, arrays, skipped, _FORMAT, _ARRAYS[:1], _ARRAYS[1:])
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
        their number, and ``targets.argmax(2)`` gives the classes back. Judge them by
        ``measure="accuracy"``, or logits by ``"cross_entropy"``. The weights are None. Most steps
        of most tasks ask only for fixation, class 0; the steps of the decision alone count in
        ``trials.with_weights(trials.targets[..., 0] == 0)``.

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
        targets = f"targets {self.targets.shape}" if self.has_targets else "no targets"
        shapes = f"inputs {self.inputs.shape}, {targets}"
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
    strangers = arrays.keys() - _ARRAYS - set(_SHORT.values())
    for name, short in _SHORT.items():
        # Without targets, an entry that is not understood may be the targets under another name.
        if name not in found and (name == "inputs" or strangers):
            raise ValueError(
                f"{path} must hold {name} (or {short}), got {', '.join(arrays) or 'no arrays'}"
            )
    return found


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
