"""Measures of a network's outputs, each an object, and the sensitivity to removed mass.

``measures.fvu(outputs, targets, weights)`` gives a number; `schurscope.ablate` takes the name, the
object, or an instance of your own subclass of `Measure`. All sums are in float64, whatever the
dtype of the data.
"""

from collections.abc import Mapping
from types import MappingProxyType

from .accuracies import accuracy, replay_accuracy, sign_accuracy
from .base import Measure, Score, measure_named
from .denominators import Denominator, Variance, Weight
from .errors import cross_entropy, fidelity, fvu
from .fixation import Fixation
from .sensitivity import sensitivity

__all__ = [
    "MEASURES",
    "Denominator",
    "Fixation",
    "Measure",
    "Score",
    "Variance",
    "Weight",
    "accuracy",
    "cross_entropy",
    "fidelity",
    "fvu",
    "measure_named",
    "replay_accuracy",
    "sensitivity",
    "sign_accuracy",
]

MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        measure.name: measure
        for measure in (fvu, replay_accuracy, accuracy, sign_accuracy, cross_entropy, fidelity)
    }
)
"""The measures of the package by name."""
