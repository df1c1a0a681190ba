"""The effect of couplings against their gain, from removed to exaggerated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, fraction, real_number, shown
from .._internal.frozen import ReadOnly
from ..ablation.batch import Batch
from ..ablation.names import single_names
from ..ablation.plan import Ablation, removed_masses
from ..ablation.resamples import percentile_ends
from ..coordinates.forms import Schurs
from ..coordinates.orders import Order
from ..networks.network import Network
from ..trials.trials import Trials
from .question import MeasureLike, Question
from .runs import batch_differences, mean_change, resamples_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dose", "dose"]

_Float64 = npt.NDArray[np.float64]
GAINS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.1, 1.25, 1.5)
SMALL = (0.9, 1.1)  # the gains of the curvature


@dataclass(frozen=True, eq=False, repr=False)
class Dose(ReadOnly):
    """The change of the measure at several gains on each coupling; made by `schurscope.dose`.

    Attributes
    ----------
    names : tuple of str
        The couplings.
    gains : (gains,)
        Factors on the coupling: 0 removes it, 1 leaves it.
    change : (couplings, gains)
        Change of the measure.
    interval : (couplings, gains, 2)
        Bootstrapped over trials.
    removed_mass : (couplings, gains)
        ‖ΔT‖_F / ‖T‖_F.
    curvature : (couplings,)
        (Δ(0.9) + Δ(1.1)) / (m(0.9)² + m(1.1)²), with the change Δ and the removed mass m: the
        effect of a small dose, where little saturates, without the slope that a network has which
        is not at a minimum. NaN where there is nothing to remove.
    curvature_interval : (couplings, 2)
    settings : dict
        Measure, alpha, level, number of trials.
    """

    names: tuple[str, ...]
    gains: _Float64
    change: _Float64
    interval: _Float64
    removed_mass: _Float64
    curvature: _Float64
    curvature_interval: _Float64
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per coupling and gain; ``attrs`` holds the settings. Needs pandas."""
        import pandas as pd

        low, high = np.moveaxis(self.interval, -1, 0)
        frame = pd.DataFrame(
            {
                "coupling": np.repeat(self.names, len(self.gains)),
                "gain": np.tile(self.gains, len(self.names)),
                "change": self.change.ravel(),
                "change_low": low.ravel(),
                "change_high": high.ravel(),
                "removed_mass": self.removed_mass.ravel(),
            }
        )
        frame.attrs.update(self.settings)
        return frame

    def __repr__(self) -> str:
        return f"Dose(couplings={self.names}, gains={len(self.gains)})"

    def __str__(self) -> str:
        settings = self.settings
        width = max(len("coupling"), *map(len, self.names)) + 2
        gains = "".join(f"{f'×{gain:g}':>10}" for gain in self.gains)
        lines = [
            f"change of {settings['measure']} over {settings['n_trials']} trials, alpha "
            f"{settings['alpha']:g}, by gain",
            f"{'coupling':<{width}}{gains}{'curvature':>11}",
        ]
        for name, change, curvature in zip(self.names, self.change, self.curvature, strict=True):
            cells = "".join(f"{value:>+10.3g}" for value in change)
            lines.append(f"{name:<{width}}{cells}{curvature:>11.3g}")
        return "\n".join(lines)


def dose(
    network: Network,
    trials: Trials,
    *,
    gains: Iterable[float] = GAINS,
    couplings: Iterable[str] | None = None,
    alpha: float = 0.9,
    measure: MeasureLike = "fvu",
    order: Order | None = None,
    schur: Schurs | None = None,
    level: float = 0.95,
    rng: Rng = 0,
    n_threads: int = 0,
) -> Dose:
    """Multiply each coupling by several gains and measure the effect of each.

    Near gain 1 the effect is the measure's slope and curvature in the coupling; full removal may
    saturate. The order of the couplings can differ between the two.

    Parameters
    ----------
    network, trials, alpha, measure, order, schur, n_threads
        As for `ablate`.
    gains : iterable of float
        Distinct and finite; gain 1 is the full network.
    couplings : iterable of str, optional
        Distinct names such as ``"RR"`` or ``"RR+CC"``, ``"n:RR"`` in a gated network. None means
        RR, CR, CC and BB, in a gated network in all gates together and in each.
    level : float
        Of the bootstrap intervals, in (0, 1].
    rng : numpy.random.Generator, SeedSequence or int
        Source of the resampled trials and the cell's noise.

    Returns
    -------
    Dose
        NaN or infinite where a rollout diverged.

    Raises
    ------
    TypeError, ValueError
        As for `ablate`, and for the arguments above.
    """
    if isinstance(gains, str):
        raise TypeError(f"gains must be a list of numbers, got {shown(gains)}")
    factors = [real_number(gain, "gains") for gain in gains]
    if not factors or len(set(factors)) < len(factors):
        raise ValueError(f"gains must be one or more distinct numbers, got {shown(factors)}")
    level = fraction(level, "level")
    question = Question(network, trials, measure, order, schur, rng, n_threads)
    coordinates = question.coordinates
    cuts = coordinates.sectors(alpha)
    couplings = single_names(coordinates.gates) if couplings is None else couplings
    if isinstance(couplings, str):
        raise TypeError(f"couplings must be a collection of names, got {shown(couplings)}")
    names = tuple(Ablation.of(name, cuts).name for name in couplings)
    if not names or len(set(names)) < len(names) or "full" in names:
        raise ValueError(f"couplings must be one or more distinct names, got {shown(names)}")
    run = list(dict.fromkeys([*factors, *SMALL]))
    small = [run.index(gain) for gain in SMALL]
    rows = [Ablation.of(name, cuts, gain) for name in names for gain in run]
    batch = Batch.of(rows, coordinates.gates)
    shape = (len(names), len(run))
    mass = removed_masses(coordinates, batch).reshape(shape)
    # What is within rounding of the weights is no dose.
    vacuous = mass <= coordinates.n_hidden * np.finfo(network.dtype).eps
    evaluator = question.evaluator()
    differences = np.concatenate([part for _, part in batch_differences(evaluator, batch)])
    differences = differences.reshape(*shape, -1)
    differences[vacuous] = 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        both = differences[:, small].sum(axis=1, keepdims=True)
        differences = np.concatenate([differences[:, : len(factors)], both], axis=1)
    change = mean_change(evaluator, differences)
    resamples = resamples_of(evaluator, question.intervals)
    resampled = resamples.values(differences.reshape(-1, evaluator.n_trials))
    interval = percentile_ends(resampled, level).reshape(*change.shape, 2)
    squared = np.where(vacuous[:, small[0]], np.nan, np.square(mass[:, small]).sum(axis=1))
    return Dose(
        names=names,
        gains=np.array(factors),
        change=change[:, :-1],
        interval=interval[:, :-1],
        removed_mass=mass[:, : len(factors)],
        curvature=change[:, -1] / squared,
        curvature_interval=interval[:, -1] / squared[:, None],
        settings={
            "measure": question.measure.name,
            "alpha": fraction(alpha, "alpha"),
            "level": level,
            "n_trials": evaluator.n_trials,
        },
    )
