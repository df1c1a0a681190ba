"""Trials: inputs, targets and the weights of the steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from .._internal.files import MAX_BYTES, own_entries, read_npz, save_npz
from .files import plain_entries
from .shapes import (
    any_real,
    any_real_or_none,
    class_indices,
    moved,
    padded_trials,
    refuse_classes,
    refuse_swapped_axes,
    without_channels,
)

if TYPE_CHECKING:
    from neurogym import Dataset

    from .._internal.checks import Rng

__all__ = ["Trials", "frozen_trials"]

_FORMAT = "schurscope-trials-1"


@dataclass(frozen=True, eq=False, repr=False)
class Trials:
    """Inputs and targets of a task, and the weights of the steps.

    The arrays are read-only copies in one dtype: float32 if all are float32, else float64 (widening
    is exact; integers and booleans become float64).

    Attributes
    ----------
    inputs : (trials, steps, N_x)
    targets : (trials, steps, N_y)
        None means no targets: N_y is then 0.
    weights : (trials, steps) or None
        Nonnegative weight of each step in the loss and the measures; None means ones. They may
        have one channel: (trials, steps, 1).
    h_0 : (trials, N_h) or None
        State of the network before the first step of each trial; None means the network's own.
    c_0 : (trials, N_h) or None
        The same for the cell state of an LSTM; no other network takes it.

    Raises
    ------
    TypeError
        An array is float16, longdouble, complex, object, text or masked.
    ValueError
        Shapes disagree; there is no trial, step or channel; an entry is NaN or infinite; a weight
        is negative, or all are zero.
    """

    inputs: FloatArray
    targets: FloatArray = None  # type: ignore[assignment] # an array after __post_init__
    weights: FloatArray | None = None
    h_0: FloatArray | None = None
    c_0: FloatArray | None = None

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
        for name in _STATES:
            if (state := getattr(self, name)) is not None:
                arrays[name] = real_array(state, name, (steps[0], "N_h"), because=because)
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
        c_0: npt.ArrayLike | None = None,
        *,
        axes: str = "BTF",
    ) -> Trials:
        """Trials from arrays whose axes are in another order.

        Parameters
        ----------
        inputs, targets : array of three axes
        weights : array of two axes, optional
            In the same order, without channels; or of three, with one channel.
        h_0, c_0 : (trials, N_h), optional
        axes : str
            The order of the axes: B trials (batch), T steps (time), F channels (features).
            ``"TBF"`` is PyTorch's default, ``"FTB"`` that of trainRNNbrain.

        Raises
        ------
        TypeError, ValueError
            As for `Trials`; `axes` is not a permutation of the three letters.
        """
        if sorted(str(axes)) != ["B", "F", "T"]:
            raise ValueError(
                "axes must be the letters B (trials), T (steps) and F (channels) in the order of "
                f'the arrays, such as "BTF" or "TBF", got {shown(axes)}'
            )
        order = [axes.index(letter) for letter in "BTF"]
        return cls(
            moved(inputs, "inputs", order),
            None if targets is None else moved(targets, "targets", order),  # type: ignore[arg-type]
            None if weights is None else moved(weights, "weights", order),
            any_real_or_none(h_0, "h_0"),
            any_real_or_none(c_0, "c_0"),
        )

    @classmethod
    def from_classes(
        cls,
        inputs: npt.ArrayLike,
        classes: npt.ArrayLike,
        n_classes: int,
        weights: npt.ArrayLike | None = None,
        h_0: npt.ArrayLike | None = None,
        c_0: npt.ArrayLike | None = None,
    ) -> Trials:
        """Trials whose targets are one-hot vectors of class indices.

        Parameters
        ----------
        inputs : (trials, steps, N_x)
        classes : (trials, steps) integers
            0 … n_classes - 1.
        n_classes : int
            N_y.
        weights, h_0, c_0 : optional
            As for `Trials`.

        Raises
        ------
        TypeError, ValueError
            As for `Trials`; `classes` are not integers in that range.
        """
        x = real_array(inputs, "inputs", ("trials", "steps", "N_x"))
        targets = one_hot(class_indices(classes), positive_int(n_classes, "n_classes"), "classes")
        return cls(
            x,
            targets.astype(x.dtype),
            any_real_or_none(weights, "weights"),
            any_real_or_none(h_0, "h_0"),
            any_real_or_none(c_0, "c_0"),
        )

    @classmethod
    def from_list(
        cls,
        inputs: Sequence[npt.ArrayLike],
        targets: Sequence[npt.ArrayLike] | None = None,
        weights: Sequence[npt.ArrayLike] | None = None,
        h_0: npt.ArrayLike | None = None,
        c_0: npt.ArrayLike | None = None,
    ) -> Trials:
        """Trials of unequal length, padded to the longest with steps of weight 0.

        Parameters
        ----------
        inputs, targets : sequence of (steps, channels)
            One array for each trial; padded with zeros.
        weights : sequence of (steps,) or (steps, 1), optional
            None means ones.
        h_0, c_0 : (trials, N_h), optional

        Raises
        ------
        TypeError, ValueError
            As for `Trials`; sequences of different lengths, trials of different channels.
        """
        states = any_real_or_none(h_0, "h_0"), any_real_or_none(c_0, "c_0")
        return cls(*padded_trials(inputs, targets, weights), *states)  # type: ignore[arg-type]

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
        return replace(self, targets=any_real(targets, "targets"))

    def with_weights(self, weights: npt.ArrayLike | None) -> Trials:
        """The same trials with other weights, (trials, steps), in the trials' dtype.

        To count only the decision steps of a task whose first class is fixation::

            trials.with_weights(trials.targets[..., 0] == 0)
        """
        w = None if weights is None else cast(any_real(weights, "weights"), self.dtype, "weights")
        targets = self.targets if self.has_targets else None
        return replace(self, targets=targets, weights=w)  # type: ignore[arg-type]

    def astype(self, dtype: npt.DTypeLike) -> Trials:
        """These trials, rounded to float32 or widened to float64; unchanged if of that dtype.

        ValueError if a value overflows `dtype`, or if all weights underflow.
        """
        wanted = float_dtype(dtype)
        if wanted == self.dtype:
            return self
        arrays = self._each(lambda array, name: cast(array, wanted, name))
        if self.weights is not None and not arrays["weights"].any():
            raise ValueError(
                f"weights must have a positive entry in {wanted}, got at most "
                f"{self.step_weights.max():.3g}, which rounds to 0: multiply them by a constant"
            )
        return frozen_trials(**arrays)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an .npz file to exactly `path`, atomically."""
        arrays = self._each(lambda array, _name: array)
        save_npz(path, _FORMAT, {name: a for name, a in arrays.items() if a.size})

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, axes: str = "BTF", max_bytes: int = MAX_BYTES
    ) -> Trials:
        """Read a file written by `save`, bit-exact, or your own .npz. Nothing is ever unpickled.

        Your own has the entries inputs and targets (or x and y), optionally weights, h_0 and
        c_0, with axes in the order `axes`; see `from_arrays`. The targets are optional. A warning
        names other arrays. A compressed file that would unpack to over `max_bytes` is refused.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            The file is damaged or does not hold trials.
        """
        arrays, skipped = read_npz(path, max_bytes)
        if "format" in arrays or "format" in skipped:
            arrays = own_entries(path, arrays, skipped, _FORMAT, _ARRAYS[:1], _ARRAYS[1:])
        else:
            arrays = plain_entries(path, arrays, _ARRAYS)
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
        """Reproducible sequences of a neurogym data set.

        Each has ``dataset.seq_len`` steps, filled with consecutive trials of the task. A
        ``neurogym.Dataset`` draws and keeps trials before it can be seeded, so its environment is
        recreated from its id and arguments: earlier draws and changes have no effect. The data set
        itself is not modified.

        Class targets, such as the actions of a decision, become one-hot vectors: N_y is the number
        of classes, and ``targets.argmax(2)`` recovers them. Use ``measure="accuracy"``, or
        ``"cross_entropy"`` for logits. The weights are None. Most steps of most tasks ask only for
        fixation, class 0; ``trials.with_weights(trials.targets[..., 0] == 0)`` counts only the
        decision steps.

        Parameters
        ----------
        dataset : neurogym.Dataset
        n_trials : int
            Number of sequences. With one seed, fewer sequences are the first of more.
        seed : numpy.random.Generator, SeedSequence, int or None
            Determines every trial; None draws fresh entropy, which is not reproducible.
        make : callable, optional
            Creates the data set's environment, ready to be seeded, if
            ``neurogym.make(id, **arguments)`` cannot: with wrappers, or not registered.

        Raises
        ------
        TypeError, ValueError
            `dataset` is not a ``neurogym.Dataset``; its environment cannot be recreated, or draws
            different trials with the same seed; observations are not vectors; targets are neither
            vectors nor classes.
        ImportError
            neurogym is not installed.
        """
        from .neurogym import neurogym_sequences

        return cls(*neurogym_sequences(dataset, n_trials, seed, make))

    def __getitem__(self, which: slice | npt.NDArray[np.integer | np.bool_]) -> Trials:
        """Some of the trials, such as ``trials[:512]``: a slice, indices or a mask.

        IndexError or TypeError for anything else; ValueError if no trial is left.
        """
        if not isinstance(which, (slice, np.ndarray)):
            raise TypeError(f"trials[…] takes a slice or an array, got {shown(which)}")
        taken = self._each(lambda array, _name: np.ascontiguousarray(array[which]))
        if not len(taken["inputs"]):
            raise ValueError(f"trials[{shown(which)}] leaves none of the {self.n_trials} trials")
        return frozen_trials(**taken)

    def _each(self, convert: Callable[[FloatArray, str], FloatArray]) -> dict[str, FloatArray]:
        """The arrays that there are, converted."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return {name: convert(a, name) for name, a in arrays.items() if a is not None}

    def __repr__(self) -> str:
        extras = [name for name in _ARRAYS[2:] if getattr(self, name) is not None]
        targets = f"targets {self.targets.shape}" if self.has_targets else "no targets"
        shapes = f"inputs {self.inputs.shape}, {targets}"
        return f"Trials({', '.join([shapes, *extras, str(self.dtype)])})"


_STATES = ("h_0", "c_0")
_ARRAYS = ("inputs", "targets", "weights", *_STATES)


def frozen_trials(
    inputs: FloatArray,
    targets: FloatArray,
    weights: FloatArray | None = None,
    h_0: FloatArray | None = None,
    c_0: FloatArray | None = None,
) -> Trials:
    """Trials of arrays that the package just created: frozen in place, neither copied nor checked.

    Training draws trials so often that checks and copies would cost more than the draws.
    """
    trials = object.__new__(Trials)
    for name, array in zip(_ARRAYS, (inputs, targets, weights, h_0, c_0), strict=True):
        if array is not None:
            array.flags.writeable = False
        object.__setattr__(trials, name, array)
    return trials
