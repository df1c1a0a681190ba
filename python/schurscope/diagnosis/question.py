"""The network, trials and measure that a question is about, checked once."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TypeAlias

from .. import _core
from .._internal.checks import Rng, generator
from ..ablation.evaluate import Evaluator, fitting_trials
from ..ablation.measures import MEASURES, Measure, measure_named
from ..ablation.measures.base import ScoreFunction
from ..coordinates.forms import Coordinates, Schurs
from ..coordinates.orders import Order
from ..networks.network import Network
from ..trials.trials import Trials

__all__ = ["MeasureLike", "Progress", "Question"]

MeasureLike: TypeAlias = "str | Measure | ScoreFunction"
Progress: TypeAlias = Callable[[int, int], object]
"""Called as ``progress(done, total)``."""


class Question:
    """Evaluators of one network in its Schur coordinates, on any trials, and random streams.

    Parameters are those of `schurscope.ablate`, except that one `rng` is the source of the cell's
    noise and of everything else that is drawn.
    """

    def __init__(
        self,
        network: Network,
        trials: Trials,
        measure: MeasureLike,
        order: Order | None,
        schur: Schurs | None,
        rng: Rng,
        n_threads: int,
    ) -> None:
        fitting_trials(network, trials)
        self.network, self.trials = network, trials
        self.measure = measure_named(measure)
        self.coordinates = Coordinates.of(network, schur, order)
        self.n_threads = _core.resolve_threads(n_threads)
        # One stream for each use, so that one does not move another.
        self._noise, self.draws, self.probes, self.intervals, self._order = generator(rng).spawn(5)

    def evaluator(self, trials: Trials | None = None, measure: Measure | None = None) -> Evaluator:
        """Of all the trials or others, by the measure or another."""
        noisy = self.network.cell.noise > 0
        return Evaluator(
            self.network,
            self.trials if trials is None else trials,
            self.coordinates,
            measure or self.measure,
            rng=self._noise.spawn(1)[0] if noisy else None,
            n_threads=self.n_threads,
        )

    @property
    def has_smooth(self) -> bool:
        """Whether the measure or its surrogate has a second derivative."""
        own = type(self.measure).half_curvature is not Measure.half_curvature
        return (own and self.measure.better == "lower") or bool(self.measure.surrogate)

    def require_direction(self) -> None:
        """ValueError if the measure does not say which values are better."""
        if self.measure.better is None:
            raise ValueError(
                "measure must say which values are better, "
                f"{self.measure.name!r} does not; subclass Measure and set its attribute `better`"
            )

    @property
    def smooth(self) -> Measure:
        """The measure, or its surrogate, that has a second derivative; ValueError if none does."""
        if self.measure.surrogate:
            return MEASURES[self.measure.surrogate]
        if not self.has_smooth:
            raise ValueError(
                f"measure must have a second derivative to predict effects, {self.measure.name!r} "
                "has none; give it better='lower' and the methods gradient and half_curvature, "
                "or use method='exact'"
            )
        return self.measure

    def smoothed(self) -> Question:
        """The question about the surrogate where the measure has one."""
        other = copy(self)
        other.measure = self.smooth
        return other

    def shuffled(self) -> Trials:
        """All the trials in random order, so that any first ones are a fair sample."""
        return self.trials[self._order.permutation(self.trials.n_trials)]
