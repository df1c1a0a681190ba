"""Tasks, which draw `Trials`.

The four tasks are those of Dräger, "Task-Restricted Symmetries in Recurrent Weight Space",
arXiv:2606.18457. The docstrings state what the paper leaves open.

The same seed gives the same trials in float32 and float64, up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from .._internal.checks import (
    FloatDType,
    Rng,
    choice,
    finite,
    float_dtype,
    generator,
    nonnegative,
    positive_int,
    probability,
    shown,
)
from .trials import Trials, frozen_trials

__all__ = [
    "TASKS",
    "ContextIntegration",
    "Copy",
    "FlipFlop",
    "SineGeneration",
    "Task",
    "Trials",
    "task_named",
]


class Task(Protocol):
    """The interface of a task; any object with these members will do.

    A task may also have ``measure``, the name of its measure in `schurscope.measures`; the default
    is ``"fvu"``.
    """

    @property
    def name(self) -> str:
        """Short name."""

    @property
    def n_inputs(self) -> int:
        """Number of input channels N_x."""

    @property
    def n_outputs(self) -> int:
        """Number of target channels N_y."""

    def trials(self, n_trials: int, rng: Rng, dtype: npt.DTypeLike = np.float64) -> Trials:
        """Fresh trials drawn from `rng`."""


@dataclass(frozen=True)
class Copy:
    """Autonomous cyclic replay: symbols are shown, then reproduced over and over without input.

    Symbols z_1 … z_s are uniform in {-1, +1}^d and are the inputs of the first s steps; then the
    input is zero, without a go cue. The target at generated step k = 1, 2, … (k = 1 is the first
    step after the inputs) is z_((k-1) mod s)+1. Only generated steps have weight 1; while symbols
    are shown, target and weight are 0.

    Parameters
    ----------
    n_symbols : int
        s, the number of symbols shown.
    dimension : int
        d, the number of channels of a symbol, of the input and of the target.
    horizon : int
        Number of generated steps. A trial has ``n_symbols + horizon`` steps.
    """

    name: ClassVar[str] = "copy"
    measure: ClassVar[str] = "replay_accuracy"
    n_symbols: int = 8
    dimension: int = 8
    horizon: int = 16

    def __post_init__(self) -> None:
        _check_positive_ints(self, "n_symbols", "dimension", "horizon")

    @property
    def n_inputs(self) -> int:
        """Number of input channels, d."""
        return self.dimension

    @property
    def n_outputs(self) -> int:
        """Number of target channels, d."""
        return self.dimension

    def trials(self, n_trials: int, rng: Rng, dtype: npt.DTypeLike = np.float64) -> Trials:
        """Trials with inputs and targets (n_trials, n_symbols + horizon, dimension)."""
        n_trials, rng, dtype = _checked(n_trials, rng, dtype)
        symbols = _signs(rng, (n_trials, self.n_symbols, self.dimension)).astype(dtype)
        shown_steps = self.n_symbols
        inputs = np.zeros((n_trials, shown_steps + self.horizon, self.dimension), dtype)
        inputs[:, :shown_steps] = symbols
        targets = np.zeros_like(inputs)
        for start in range(shown_steps, shown_steps + self.horizon, self.n_symbols):
            replay = targets[:, start : start + self.n_symbols]
            replay[:] = symbols[:, : replay.shape[1]]
        weights = np.zeros(inputs.shape[:2], dtype)
        weights[:, shown_steps:] = 1
        return frozen_trials(inputs, targets, weights)


@dataclass(frozen=True)
class FlipFlop:
    """Flip-flop memory: each output holds the sign of the last pulse on its channel.

    At every step, with probability `pulse_probability`, exactly one uniformly chosen channel gets a
    pulse of +1 or -1, equally likely; all other inputs are 0. The target of a channel is its last
    pulse, this step included, and 0 before the first. All steps count; no noise.

    Parameters
    ----------
    n_channels : int
        Number of input channels and of target channels.
    n_steps : int
        Number of steps.
    pulse_probability : float
        In [0, 1]. The paper does not state it.
    """

    name: ClassVar[str] = "flip-flop"
    measure: ClassVar[str] = "fvu"
    n_channels: int = 3
    n_steps: int = 25
    pulse_probability: float = 0.15

    def __post_init__(self) -> None:
        _check_positive_ints(self, "n_channels", "n_steps")
        chance = probability(self.pulse_probability, "pulse_probability")
        object.__setattr__(self, "pulse_probability", chance)

    @property
    def n_inputs(self) -> int:
        """Number of input channels."""
        return self.n_channels

    @property
    def n_outputs(self) -> int:
        """Number of target channels."""
        return self.n_channels

    def trials(self, n_trials: int, rng: Rng, dtype: npt.DTypeLike = np.float64) -> Trials:
        """Trials with inputs and targets (n_trials, n_steps, n_channels)."""
        n_trials, rng, dtype = _checked(n_trials, rng, dtype)
        # Time first, in bytes: each step is then one pass over contiguous memory, which is fast.
        pulsed = np.flatnonzero(rng.random((self.n_steps, n_trials)) < self.pulse_probability)
        kind = rng.integers(2 * self.n_channels, size=pulsed.size)
        pulses = np.zeros((self.n_steps, n_trials * self.n_channels), np.int8)
        pulses.reshape(-1)[pulsed * self.n_channels + kind // 2] = 1 - 2 * (kind % 2)
        held = pulses.copy()
        for t in range(1, self.n_steps):
            held[t] += held[t - 1] * (pulses[t] == 0)
        # Move the channels of a step as one item of n_channels bytes, then widen.
        step = f"V{self.n_channels}"
        shape = (n_trials, self.n_steps, self.n_channels)
        inputs, targets = (
            np.ascontiguousarray(values.view(step).T).view(np.int8).reshape(shape).astype(dtype)
            for values in (pulses, held)
        )
        return frozen_trials(inputs, targets, None)


@dataclass(frozen=True)
class SineGeneration:
    """Frequency-cued sine: a static cue sets the frequency of the sine to produce.

    u ~ Unif[0, 1) per trial; the input is u at every step; the target is
    y_t = sin(2π f t / n_steps), t = 0 … n_steps - 1, with f = 1 + 2u cycles per trial. All steps
    count.

    Parameters
    ----------
    n_steps : int
        Number of steps.
    """

    name: ClassVar[str] = "sine"
    measure: ClassVar[str] = "fvu"
    n_inputs: ClassVar[int] = 1
    n_outputs: ClassVar[int] = 1
    n_steps: int = 50

    def __post_init__(self) -> None:
        _check_positive_ints(self, "n_steps")

    def trials(self, n_trials: int, rng: Rng, dtype: npt.DTypeLike = np.float64) -> Trials:
        """Trials with inputs and targets (n_trials, n_steps, 1)."""
        n_trials, rng, dtype = _checked(n_trials, rng, dtype)
        cue = rng.random(n_trials)
        inputs = np.repeat(cue.astype(dtype)[:, None], self.n_steps, axis=1)
        cycles = np.multiply.outer(1 + 2 * cue, np.arange(self.n_steps) / self.n_steps)
        # Remove whole cycles before rounding to float32: they would cost three bits of phase.
        cycles -= np.rint(cycles)
        cycles *= 2 * np.pi
        targets = np.sin(cycles.astype(dtype, copy=False))
        return frozen_trials(inputs[..., None], targets[..., None], None)


@dataclass(frozen=True)
class ContextIntegration:
    """Context-dependent integration: sum the stimulus that the context cues.

    Two stimulus channels s_k,t = c_k + noise · ξ_k,t with coherence c_k ~ Unif[-1, 1) per trial and
    ξ ~ N(0, 1), then two static one-hot context channels, equally likely. The target is the
    running sum of the cued stimulus, this step included, not normalised. All steps count.

    Parameters
    ----------
    n_steps : int
        Number of steps.
    noise : float
        Standard deviation of the stimulus noise, at least 0. The paper does not state it.
    """

    name: ClassVar[str] = "context-integration"
    measure: ClassVar[str] = "fvu"
    n_inputs: ClassVar[int] = 4
    n_outputs: ClassVar[int] = 1
    n_steps: int = 48
    noise: float = 2.0

    def __post_init__(self) -> None:
        _check_positive_ints(self, "n_steps")
        object.__setattr__(self, "noise", nonnegative(self.noise, "noise"))

    def trials(self, n_trials: int, rng: Rng, dtype: npt.DTypeLike = np.float64) -> Trials:
        """Trials with inputs (n_trials, n_steps, 4) and targets (n_trials, n_steps, 1)."""
        n_trials, rng, dtype = _checked(n_trials, rng, dtype)
        coherence = rng.uniform(-1, 1, (2, n_trials, 1)).astype(dtype)
        second = rng.integers(2, size=(n_trials, 1)).astype(bool)  # is the second stimulus cued?
        inputs = np.empty((n_trials, self.n_steps, 4), dtype)
        for channel, noise in enumerate(_normal_pair(rng, (n_trials, self.n_steps))):
            noise *= np.float32(self.noise)
            np.add(coherence[channel], noise, out=inputs[..., channel])
        inputs[..., 2] = ~second
        inputs[..., 3] = second
        targets = np.cumsum(np.where(second, inputs[..., 1], inputs[..., 0]), axis=1)
        finite(targets, "targets")  # noise near the end of float32's range overflows
        return frozen_trials(inputs, targets[..., None], None)


TASKS: Mapping[str, Callable[[], Task]] = MappingProxyType(
    {task.name: task for task in (Copy, FlipFlop, SineGeneration, ContextIntegration)}
)
"""The tasks of the paper by name; calling an entry creates the task with its default parameters."""


def task_named(name: str) -> Task:
    """The task of that name with its default parameters.

    ValueError, suggesting the nearest name, if there is none.
    """
    return TASKS[choice(name, "task", TASKS)]()


def as_task(value: object) -> str:
    """The end of an error message: how a task's name or class becomes a task."""
    if isinstance(value, str):
        return f"; write ss.task_named({shown(value)})"
    return f"; write {value.__name__}(…), an instance" if isinstance(value, type) else ""


def _check_positive_ints(task: object, *names: str) -> None:
    for name in names:
        object.__setattr__(task, name, positive_int(getattr(task, name), name))


def _checked(
    n_trials: object, rng: object, dtype: npt.DTypeLike
) -> tuple[int, np.random.Generator, FloatDType]:
    return positive_int(n_trials, "n_trials"), generator(rng), float_dtype(dtype)


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """Independent -1 and +1, equally likely: one random bit each."""
    count = math.prod(shape)
    random_bytes = np.frombuffer(rng.bytes((count + 7) // 8), np.uint8)
    bits = np.unpackbits(random_bytes, count=count).view(np.int8)
    return (2 * bits - 1).reshape(shape)


def _normal_pair(
    rng: np.random.Generator, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Two independent arrays of standard normal draws, by the Box-Muller transform.

    NumPy vectorises it in float32, four times as fast as the generator's own method. The 24 bits of
    the uniforms cut the tail at 5.8, beyond which one draw in 10^8 would lie.
    """
    radius, angle = rng.random((2, *shape), np.float32)
    radius = np.sqrt(-2 * np.log(1 - radius))
    angle *= np.float32(2 * np.pi)
    return radius * np.cos(angle), radius * np.sin(angle)
