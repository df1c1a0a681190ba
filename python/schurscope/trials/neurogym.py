"""Sequences of neurogym's tasks. neurogym is imported on first use."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray, Rng, generator, positive_int

if TYPE_CHECKING:
    from neurogym import Dataset

__all__ = ["neurogym_sequences"]


def neurogym_sequences(
    dataset: Dataset, n_trials: int, seed: Rng, make: Callable[[], Any] | None
) -> tuple[FloatArray, FloatArray]:
    """Inputs and targets of a neurogym data set; see `Trials.from_neurogym`."""
    try:
        import neurogym
        from gymnasium.spaces import Box, Discrete
    except ImportError as error:
        raise ImportError(
            'neurogym data sets need neurogym: pip install "schurscope[neurogym]"'
        ) from error

    if not isinstance(dataset, neurogym.Dataset):
        raise TypeError(f"dataset must be a neurogym.Dataset, got {type(dataset).__name__}")
    n_trials = positive_int(n_trials, "n_trials")
    random = generator(seed, "seed")
    seen, asked = dataset.env.observation_space, dataset.env.action_space
    is_class = isinstance(asked, Discrete)
    is_vector = isinstance(asked, Box) and len(asked.shape) == 1
    if len(seen.shape) != 1 or not (is_class or is_vector):
        raise ValueError(
            "dataset must have vectors as observations, and vectors or classes as targets, got "
            f"{seen} and {asked}"
        )

    number = int(random.integers(2**32))
    inputs, targets = _drawn(dataset, n_trials, number, make)
    if seed is not None:
        again = _drawn(dataset, n_trials, number, make)
        if not (np.array_equal(inputs, again[0]) and np.array_equal(targets, again[1])):
            raise ValueError(
                "dataset must hold an environment whose seed determines its trials, got different "
                f"trials from {dataset.env} with the same seed; give make, a function that creates "
                "it deterministically, or seed=None"
            )
    if is_class:
        classes = asked.start + np.arange(asked.n)
        targets = (targets[..., None] == classes).astype(inputs.dtype)
    return inputs, targets


def _drawn(
    dataset: Dataset, n_trials: int, seed: int, make: Callable[[], Any] | None
) -> tuple[FloatArray, npt.NDArray[Any]]:
    """Observations and targets drawn from a new environment."""
    env = _made_again(dataset.env) if make is None else make()
    env.get_wrapper_attr("seed")(seed)
    env.reset()
    seen, asked = dataset.env.observation_space, dataset.env.action_space
    inputs = np.empty((n_trials, dataset.seq_len, *seen.shape), seen.dtype)
    targets = np.empty((n_trials, dataset.seq_len, *asked.shape), asked.dtype)
    for trial in range(n_trials):
        step = 0
        while step < dataset.seq_len:
            env.get_wrapper_attr("new_trial")()
            ob, gt = (env.get_wrapper_attr(name) for name in ("ob", "gt"))
            end = min(step + len(ob), dataset.seq_len)
            inputs[trial, step:end] = ob[: end - step]
            targets[trial, step:end] = gt[: end - step]
            step = end
    return inputs, targets


def _made_again(env: Any) -> Any:
    """A new environment with the same id and arguments.

    The data set's own drew trials before it could be seeded, some tasks remember their last trials,
    and a copy may still draw from the original's generator.
    """
    import neurogym

    if env.spec is not None:
        again = neurogym.make(env.spec.id, **deepcopy(env.spec.kwargs))
        if _layers(again) == _layers(env):
            return again
    raise ValueError(
        "dataset must hold an environment that neurogym.make can recreate, got one of "
        f"{' of '.join(_layers(env))}; give make, a function that creates it"
    )


def _layers(env: Any) -> list[str]:
    """Names of the wrappers, outermost first, and of the task."""
    names = [type(env).__name__]
    while env is not env.unwrapped:
        env = env.env
        names.append(type(env).__name__)
    return names
