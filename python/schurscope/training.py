"""Training by exact backpropagation through time, in the compiled core.

The loop is plain: fresh trials every step, one optimiser step per batch, and the last iterate as
the result. ``network.cayley`` selects the recurrent parameters: the entries
of ``W_hh``, or the factors of ``O(A) D O(A)^T``, which keep it normal.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._internal.brief import Brief
from ._internal.checks import Rng, choice, generator, nonnegative, positive, positive_int, shown
from ._internal.frozen import ReadOnly
from ._internal.html import facts
from .networks.cayley import Cayley
from .networks.network import Network
from .trials.tasks import Task, Trials, as_task

__all__ = ["OPTIMIZERS", "Progress", "TrainingOptions", "TrainingResult", "train"]

Optimizer = Literal["adam", "adamw"]
Progress = Callable[[int, int, float], None]
"""Called as ``progress(steps_done, steps_total, last_loss)``; an exception ends training."""

OPTIMIZERS: tuple[Optimizer, ...] = ("adam", "adamw")
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
BATCHES_PER_SLAB = 128  # batches whose trials are drawn at once: fast, with little memory
_BIASES = ("b_h", "b_y", "b_hn")  # in the order of the vector of parameters
NOISY_SLAB = 8  # the same with noise, which takes N_h numbers per step of a trial


@dataclass(frozen=True)
class TrainingOptions:
    """The options of :func:`train`, with defaults and checks.

    Attributes
    ----------
    epochs, batches_per_epoch, batch_size : int
        ``epochs * batches_per_epoch`` optimiser steps on ``batch_size`` trials each.
    learning_rate : float
        Step size, positive.
    final_learning_rate : float, optional
        Step size of the last epoch, which the others approach from `learning_rate` by the same
        factor each; None keeps it constant.
    optimizer : {"adam", "adamw"}
        How `weight_decay` enters: added to the gradient (Adam) or to the step (AdamW).
    weight_decay : float
        Nonnegative; applies to every trained parameter.
    clip : float, optional
        Maximum Euclidean norm of the whole gradient; None disables clipping.

    Raises
    ------
    TypeError, ValueError
        An option is of the wrong kind or size.
    """

    epochs: int = 30
    batches_per_epoch: int = 128
    batch_size: int = 64
    learning_rate: float = 1e-3
    final_learning_rate: float | None = None
    optimizer: Optimizer = "adam"
    weight_decay: float = 0.0
    clip: float | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batches_per_epoch", "batch_size"):
            object.__setattr__(self, name, positive_int(getattr(self, name), name))
        object.__setattr__(self, "learning_rate", positive(self.learning_rate, "learning_rate"))
        if self.final_learning_rate is not None:
            final = positive(self.final_learning_rate, "final_learning_rate")
            object.__setattr__(self, "final_learning_rate", final)
        choice(self.optimizer, "optimizer", OPTIMIZERS)
        object.__setattr__(self, "weight_decay", nonnegative(self.weight_decay, "weight_decay"))
        if self.clip is not None:
            object.__setattr__(self, "clip", positive(self.clip, "clip"))

    def rate(self, epoch: int) -> float:
        """The step size of an epoch, counted from 0."""
        if self.final_learning_rate is None:
            return self.learning_rate
        done = epoch / max(1, self.epochs - 1)
        return self.learning_rate * math.pow(self.final_learning_rate / self.learning_rate, done)

    @property
    def n_updates(self) -> int:
        """Number of optimiser steps."""
        return self.epochs * self.batches_per_epoch


@dataclass(frozen=True, eq=False, repr=False)
class TrainingResult(Brief, ReadOnly):
    """The result of :func:`train`.

    Attributes
    ----------
    network : Network
        The network after the last step, in the dtype of the input network.
    loss : ndarray, float64, (epochs * batches_per_epoch,)
        Weighted mean squared error of each batch, before its step.
    settings : dict
        Every option of the run, the task, and the seconds taken.
    """

    network: Network
    loss: NDArray[np.float64]
    settings: Mapping[str, Any]

    def _repr_html_(self) -> str:
        named = {
            "network": repr(self.network),
            "updates": len(self.loss),
            "loss": f"{self.loss[0]:.4g} at first, {self.loss[-1]:.4g} at last",
        }
        took = {"seconds": f"{self.settings['seconds']:.3g}"}
        return facts("Training", {**named, **self.settings, **took})


def train(
    network: Network,
    task: Task,
    *,
    epochs: int = TrainingOptions.epochs,
    batches_per_epoch: int = TrainingOptions.batches_per_epoch,
    batch_size: int = TrainingOptions.batch_size,
    learning_rate: float = TrainingOptions.learning_rate,
    final_learning_rate: float | None = TrainingOptions.final_learning_rate,
    optimizer: Optimizer = TrainingOptions.optimizer,
    weight_decay: float = TrainingOptions.weight_decay,
    clip: float | None = TrainingOptions.clip,
    rng: Rng,
    progress: Progress | None = None,
) -> TrainingResult:
    r"""Train a copy of `network` on fresh trials of `task`.

    The loss of a batch is :math:`\sum w \,(\hat y - y)^2 / (N_y \sum w)` over trials, steps and
    channels. Adam and AdamW are PyTorch's, with :math:`\beta = (0.9, 0.999)` and
    :math:`\epsilon = 10^{-8}`.

    Parameters
    ----------
    network : Network
        The initial network, left unchanged. Its dtype is that of the arithmetic.
    task : Task
        Draws the trials; any object with ``n_inputs``, ``n_outputs`` and ``trials(n, rng, dtype)``.
    epochs, batches_per_epoch, batch_size, learning_rate, final_learning_rate
    optimizer, weight_decay, clip
        See `TrainingOptions`.
    rng : numpy.random.Generator or int or None
        Source of the trials and, through a spawned stream, of the cell's noise; None draws fresh
        entropy, and the run is not repeatable.
    progress : callable, optional
        ``progress(steps_done, steps_total, last_loss)``, called at least every 128 steps.

    Returns
    -------
    TrainingResult

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or size, or `task` does not fit `network`.
    FloatingPointError
        The loss stopped being finite.
    """
    if not isinstance(network, Network):
        raise TypeError(f"network must be a schurscope.Network, got {type(network).__name__}")
    _check_task(network, task)
    options = TrainingOptions(
        epochs,
        batches_per_epoch,
        batch_size,
        learning_rate,
        final_learning_rate,
        optimizer,
        weight_decay,
        clip,
    )
    random = generator(rng)

    theta = _flatten(network)
    parameters = theta, np.zeros_like(theta), np.zeros_like(theta)  # and Adam's two moments
    optimizer_options = (
        BETA1,
        BETA2,
        EPSILON,
        options.weight_decay,
        options.optimizer == "adamw",
        math.inf if options.clip is None else options.clip,
    )
    total = options.n_updates
    loss = np.empty(total, dtype=np.float64)
    started = time.perf_counter()
    done = 0
    noisy = network.cell.noise > 0
    noise_stream = random.spawn(1)[0] if noisy else None
    for batches in _slabs(options, NOISY_SLAB if noisy else BATCHES_PER_SLAB):
        trials = _slab(network, task, batches * options.batch_size, random)
        _core.train(
            parameters,
            done,
            _layout(network),
            network.cell.names,
            (
                trials.inputs,
                trials.targets,
                trials.step_weights,
                network.start(trials.h_0, trials.c_0, trials.n_trials),
                network.noise(noise_stream, trials.n_trials, trials.n_steps),
            ),
            options.batch_size,
            (options.rate(done // options.batches_per_epoch), *optimizer_options),
            loss[done : done + batches],
        )
        _check_finite(loss[done : done + batches], theta, done, options)
        done += batches
        if progress is not None:
            progress(done, total, float(loss[done - 1]))

    settings = {
        "task": repr(task),
        **vars(options),
        "dtype": network.dtype.name,
        "cell": repr(network.cell),
        "level": _core.LEVEL,
        "seconds": time.perf_counter() - started,
    }
    return TrainingResult(_unflatten(theta, network), loss, settings)


def _check_task(network: Network, task: Task) -> None:
    for attribute in ("n_inputs", "n_outputs", "trials"):
        if isinstance(task, type) or not hasattr(task, attribute):
            raise TypeError(
                f"task must have n_inputs, n_outputs and trials(), got {shown(task)} without "
                f"{attribute}{as_task(task)}"
            )
    for attribute in ("n_inputs", "n_outputs"):
        wanted, given = getattr(task, attribute), getattr(network, attribute)
        if wanted != given:
            raise ValueError(
                f"task and network do not fit: the task has {attribute} = {wanted}, "
                f"the network {attribute} = {given}"
            )


def _slabs(options: TrainingOptions, largest: int) -> list[int]:
    full, rest = divmod(options.batches_per_epoch, largest)
    return ([largest] * full + [rest] * (rest > 0)) * options.epochs


def _slab(network: Network, task: Task, n_trials: int, random: np.random.Generator) -> Trials:
    """`n_trials` fresh trials, in the network's dtype."""
    trials = task.trials(n_trials, random, dtype=network.dtype)
    if not isinstance(trials, Trials):
        raise TypeError(f"task.trials() must return Trials, got {type(trials).__name__}")
    given = (trials.n_trials, trials.n_inputs, trials.n_outputs)
    wanted = (n_trials, network.n_inputs, network.n_outputs)
    if given != wanted:
        raise ValueError(
            f"task.trials() must return (n_trials, n_inputs, n_outputs) = {wanted}, got {given}"
        )
    return trials.astype(network.dtype)


def _check_finite(
    loss: NDArray[np.float64], theta: NDArray[Any], done: int, options: TrainingOptions
) -> None:
    broken = np.flatnonzero(~np.isfinite(loss))
    if broken.size == 0 and np.isfinite(theta).all():
        return
    step = done + (int(broken[0]) if broken.size else loss.size)
    advice = "" if options.clip is not None else ", or clip the gradient (clip=1.0)"
    raise FloatingPointError(
        f"the loss stopped being finite at step {step}: lower learning_rate "
        f"(now {options.learning_rate:g}){advice}"
    )


def _layout(network: Network) -> tuple[int, int, int, int, bool, bool, bool]:
    """The layout of the vector of :func:`_flatten`, as the core reads it."""
    n_pairs = -1 if network.cayley is None else len(network.cayley.pairs)
    sizes = (network.n_hidden, network.n_inputs, network.n_outputs)
    b_h, b_y, b_hn = (getattr(network, name) is not None for name in _BIASES)
    return *sizes, n_pairs, b_h, b_y, b_hn


def _flatten(network: Network) -> NDArray[Any]:
    """All trained parameters in one new vector: the recurrent ones, W_xh, W_hy and the biases."""
    cayley = network.cayley
    recurrent = [network.W_hh] if cayley is None else [cayley.U, cayley.pairs, cayley.reals]
    parts = [*recurrent, network.W_xh, network.W_hy]
    parts += [bias for name in _BIASES if (bias := getattr(network, name)) is not None]
    return np.concatenate([part.ravel() for part in parts]).astype(network.dtype)


def _unflatten(theta: NDArray[Any], like: Network) -> Network:
    """The inverse of :func:`_flatten`, with the shapes of `like`."""
    position = 0

    def take(shape: tuple[int, ...]) -> NDArray[Any]:
        nonlocal position
        size = math.prod(shape)
        part = theta[position : position + size].reshape(shape)
        position += size
        return part

    cayley = None
    if like.cayley is None:
        W_hh = take(like.W_hh.shape)
    else:
        old = like.cayley
        cayley = Cayley(take(old.U.shape), take(old.pairs.shape), take(old.reals.shape))
        W_hh = cayley.matrix()
    W_xh = take(like.W_xh.shape)
    W_hy = take(like.W_hy.shape)
    biases: dict[str, Any] = {
        name: None if (bias := getattr(like, name)) is None else take(bias.shape)
        for name in _BIASES
    }
    return replace(like, W_hh=W_hh, W_xh=W_xh, W_hy=W_hy, cayley=cayley, **biases)
