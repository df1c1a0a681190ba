"""PyTorch modules for `ablate_with`: their recurrent weights, and functions that score trials.

For models that the core does not run: stacked and bidirectional layers, cells of your own. PyTorch
is imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from .._internal.checks import FloatArray, choice
from ..networks.pytorch import RecurrentWeight
from ..trials.trials import Trials
from .measured import MeasuredModel
from .measures import Measure, measure_named
from .measures.base import ScoreFunction

if TYPE_CHECKING:
    import torch

__all__ = ["RecurrentWeight", "evaluator"]


def evaluator(
    module: torch.nn.Module,
    trials: Trials,
    measure: str | Measure | ScoreFunction = "fvu",
    *,
    weight: RecurrentWeight,
    axes: str = "BTF",
) -> MeasuredModel:
    """A function for `ablate_with` that runs a module with W̃ and scores each trial by a measure.

    Profiles are those of `ablate`: value, values per step, chance, cautions and intervals::

        weight = ss.pytorch.RecurrentWeight(model.lstm, "weight_hh_l1_reverse", gate=["f", "g"])
        evaluate = ss.pytorch.evaluator(model, trials, "accuracy", weight=weight)
        profile = ss.ablate_with(weight.matrices(), evaluate)

    The module runs without gradients and in evaluation mode, as after ``module.eval()``; afterwards
    its weights and modes are as before.

    Parameters
    ----------
    module : torch.nn.Module
        Takes inputs and returns outputs (trials, steps, N_y), or a tuple of which they are the
        first. They must depend on `weight`.
    trials : Trials
        Inputs go to the module in the dtype and on the device of the weight. Without h_0 and
        c_0: a module has its own start.
    measure : str, Measure or callable
        As for `ablate`.
    weight : RecurrentWeight
        What W̃ replaces.
    axes : {"BTF", "TBF"}
        Order of the axes that the module takes and returns: trials × steps × channels, or steps ×
        trials × channels, PyTorch's default (``batch_first=False``).

    Returns
    -------
    MeasuredModel
        A function of W̃: (N_h, N_h), or a dictionary from gate to matrix.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type; `trials` have h_0, or no targets that the measure needs;
        the module's outputs have another shape than the targets, or do not depend on the weight.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    if not isinstance(trials, Trials):
        raise TypeError(f"trials must be schurscope.Trials, got {type(trials).__name__}")
    if not isinstance(weight, RecurrentWeight):
        raise TypeError(f"weight must be a RecurrentWeight, got {type(weight).__name__}")
    if trials.h_0 is not None or trials.c_0 is not None:
        raise ValueError(
            "trials must have no h_0 or c_0, because the module starts from its own state"
        )
    swapped = choice(axes, "axes", ("BTF", "TBF")) == "TBF"
    parameter = getattr(weight.module, weight.name)
    if not any(parameter is own for own in module.parameters()):
        raise ValueError(
            f"weight must belong to the module, got {weight.name} of a "
            f"{type(weight.module).__name__} that is no part of it"
        )

    def outputs(W: Any) -> FloatArray:
        inputs = torch.tensor(trials.inputs, dtype=parameter.dtype, device=parameter.device)
        with (
            nullcontext() if W is None else weight.replaced(W),
            _evaluation_mode(module),
            torch.no_grad(),
        ):
            answer = module(inputs.transpose(0, 1) if swapped else inputs)
        first = answer[0] if isinstance(answer, tuple) else answer
        if not isinstance(first, torch.Tensor):
            raise TypeError(
                "module must return outputs, or a tuple that begins with them, got "
                f"{type(first).__name__}"
            )
        array: FloatArray = first.cpu().numpy()
        return array.swapaxes(0, 1) if swapped and array.ndim == 3 else np.asarray(array)

    return MeasuredModel(outputs, trials.astype(weight.dtype), measure_named(measure))


@contextmanager
def _evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    """A context in which the module and all its parts are in evaluation mode."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
