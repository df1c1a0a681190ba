"""How much each coupling matters beside the others: Shapley values and interactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, fraction
from .._internal.frozen import ReadOnly
from ..ablation.names import joined_name, named_couplings, single_names
from ..ablation.profile import AblationProfile
from ..ablation.resamples import Resamples, percentile_ends
from ..coordinates.sectors import COUPLINGS, coupling_names
from .games import (
    all_coalitions,
    alone_and_last,
    interaction_coefficients,
    shapley_coefficients,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Interactions",
    "Shapley",
    "credits",
    "interactions",
    "profile_game",
    "project",
    "without_rounding",
]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_ROUNDING = 1e-14

Couplings: TypeAlias = Mapping[str, tuple[str, ...]]
"""Gate → the couplings that are removed from it."""


@dataclass(frozen=True, eq=False, repr=False)
class Shapley(ReadOnly):
    """Shapley values of groups of entries of T: the average effect of each over all orders.

    With v(S) the change of the measure when the groups in S are removed, φ_i is the mean of
    v(S ∪ i) - v(S) over the random orders in which all groups may be removed, S being those before
    i. The values add up to v(all).

    Attributes
    ----------
    names : tuple of str
    value : (groups,)
        φ.
    interval : (groups, 2)
        Of φ, bootstrapped over trials.
    standard_error : (groups,)
        Of φ over trials.
    sampling_error : (groups,)
        Standard error of φ over random orders; 0 if all subsets were run.
    alone, alone_interval : (groups,), (groups, 2)
        v({i}), the change if only this group is removed.
    last, last_interval : (groups,), (groups, 2)
        v(all) - v(all but i), the change if it is removed after all others.
    total : float
        v(all).
    settings : dict
        Measure, level, number of trials.
    """

    names: tuple[str, ...]
    value: _Float64
    interval: _Float64
    standard_error: _Float64
    sampling_error: _Float64
    alone: _Float64
    alone_interval: _Float64
    last: _Float64
    last_interval: _Float64
    total: float
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per group; ``attrs`` holds the settings. Needs pandas."""
        import pandas as pd

        frame = pd.DataFrame({"group": self.names})
        for name, values, interval in (
            ("shapley", self.value, self.interval),
            ("alone", self.alone, self.alone_interval),
            ("last", self.last, self.last_interval),
        ):
            frame[name] = values
            frame[f"{name}_low"], frame[f"{name}_high"] = interval.T
        frame["standard_error"] = self.standard_error
        frame["sampling_error"] = self.sampling_error
        frame.attrs.update(self.settings)
        return frame

    def __len__(self) -> int:
        """Number of groups."""
        return len(self.names)

    def __repr__(self) -> str:
        values = ", ".join(
            f"{name}: {value:+.4g}" for name, value in zip(self.names, self.value, strict=True)
        )
        return f"Shapley({values if len(self) <= 4 else f'groups={len(self)}'})"

    def __str__(self) -> str:
        level = f"{self.settings['level']:.0%} interval"
        width = max(len("group"), *map(len, self.names))
        lines = [
            f"{self.settings['measure']} over {self.settings['n_trials']} trials: "
            f"v(all) = {self.total:+.4g}",
            f"{'group':<{width}}{'Shapley':>11}{level:>22}{'alone':>11}{'last':>11}",
        ]
        for place, name in enumerate(self.names):
            low, high = self.interval[place]
            lines.append(
                f"{name:<{width}}{self.value[place]:>+11.4g}{f'[{low:.3g}, {high:.3g}]':>22}"
                f"{self.alone[place]:>+11.4g}{self.last[place]:>+11.4g}"
            )
        if self.sampling_error.any():
            lines.append(f"standard error of sampled orders: up to {self.sampling_error.max():.2g}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class Interactions(ReadOnly):
    """Shapley interaction index of each pair of groups.

    I_ij is the average over the contexts S of v(S ∪ ij) - v(S ∪ i) - v(S ∪ j) + v(S), weighted as
    the Shapley value weights them. If it is negative, removing both costs less than the sum of
    removing each. For errors that saturate, such as FVU, this is partly saturation, not redundancy:
    what is already lost cannot be lost again.

    Attributes
    ----------
    names : tuple of str
    pairs : (pairs, 2)
        Indices of the groups, i < j.
    value : (pairs,)
    interval : (pairs, 2)
        Bootstrapped over trials.
    settings : dict
        Measure, level, number of trials.
    """

    names: tuple[str, ...]
    pairs: _Int64
    value: _Float64
    interval: _Float64
    settings: Mapping[str, Any] = field(default_factory=dict)

    def matrix(self) -> _Float64:
        """The symmetric matrix of the interactions, (groups, groups); NaN on the diagonal."""
        values = np.full((len(self.names),) * 2, np.nan)
        first, last = self.pairs.T
        values[first, last] = values[last, first] = self.value
        return values

    def to_dataframe(self) -> pd.DataFrame:
        """One row per pair; ``attrs`` holds the settings. Needs pandas."""
        import pandas as pd

        first, last = np.array(self.names)[self.pairs].T
        low, high = self.interval.T
        frame = pd.DataFrame(
            {"first": first, "second": last, "interaction": self.value, "low": low, "high": high}
        )
        frame.attrs.update(self.settings)
        return frame

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"Interactions(groups={self.names if len(self.names) <= 4 else len(self.names)})"

    def __str__(self) -> str:
        level = f"{self.settings['level']:.0%} interval"
        labels = [f"{self.names[i]} × {self.names[j]}" for i, j in self.pairs]
        width = max(len("pair"), *map(len, labels))
        lines = [
            f"{self.settings['measure']} over {self.settings['n_trials']} trials; negative: "
            "together they cost less than the sum",
            f"{'pair':<{width}}{'interaction':>13}{level:>22}",
        ]
        for place, label in enumerate(labels):
            low, high = self.interval[place]
            lines.append(
                f"{label:<{width}}{self.value[place]:>+13.4g}{f'[{low:.3g}, {high:.3g}]':>22}"
            )
        return "\n".join(lines)


def profile_game(
    profile: AblationProfile, couplings: Iterable[str], level: float, n_resamples: int, rng: Rng
) -> tuple[Shapley, Interactions]:
    """The game of couplings whose subsets are the ablations of a profile."""
    level = fraction(level, "level")
    gates = profile.coordinates.gates
    players = named_players(couplings, gates)
    names = tuple(players)
    coalitions = all_coalitions(len(names))
    subsets = [
        _joined([players[name] for name in np.array(names)[who]], gates) for who in coalitions
    ]
    missing = [repr(subset) for subset in subsets if subset not in profile.names]
    if missing:
        listed = ", ".join([*missing[:4], f"… ({len(missing)} in all)"][: 4 + (len(missing) > 4)])
        raise ValueError(
            f"the profile must hold every subset of {', '.join(names)}, it lacks {listed}; ablate "
            "runs those of RR, CR and CC by default, and subset_game those of any groups"
        )
    rows = [profile.names.index(subset) for subset in subsets]
    resamples, sums = profile.resamples(n_resamples, rng)
    with np.errstate(invalid="ignore", over="ignore"):
        differences = sums[rows] - sums[0]
    n = len(names)
    pairs, B = interaction_coefficients(n)
    A = np.concatenate([shapley_coefficients(n), alone_and_last(coalitions), B])
    settings = {
        "measure": profile.measure,
        "alpha": profile.alpha,
        "level": level,
        "n_trials": sums.shape[1],
    }
    total = float(profile.change[rows[-1]])
    projected = without_rounding(*project(A, differences))
    return (
        credits(names, projected[: 3 * n], total, resamples, level, np.zeros(n), settings),
        interactions(names, pairs, projected[3 * n :], resamples, level, settings),
    )


def named_players(couplings: Iterable[str], gates: Sequence[str]) -> dict[str, Couplings]:
    """Couplings in the order of gates and couplings, and what each removes from which gate.

    TypeError or ValueError unless they are a collection of at least two, each one coupling of one
    gate or of all, and disjoint.
    """
    known = single_names(gates)
    asked = coupling_names(couplings, known)
    names = [name for name in known if name in asked]
    if len(names) < 2:
        raise ValueError(f"couplings must name at least two, got {names}")
    joint = asked & set(COUPLINGS)
    for name in names:
        if name.partition(":")[2] in joint:
            raise ValueError(
                f"couplings must not share entries of T, got {name!r} and that of all gates"
            )
    return {name: named_couplings(name, gates) for name in names}


def _joined(members: Sequence[Couplings], gates: Sequence[str]) -> str:
    """The name of the ablation that removes all of these."""
    removed = {
        gate: [name for name in COUPLINGS if any(name in one.get(gate, ()) for one in members)]
        for gate in gates
    }
    return joined_name(removed, gates)


def project(coefficients: _Float64, differences: _Float64) -> tuple[_Float64, _Float64]:
    """Coefficients (rows, coalitions) times (coalitions, trials), where 0 times NaN is 0.

    The second array bounds the size of the terms of each sum, for `without_rounding`.
    """
    finite = np.isfinite(differences).all(axis=1)
    projected: _Float64 = coefficients[:, finite] @ differences[finite]
    projected[(coefficients[:, ~finite] != 0).any(axis=1)] = np.nan
    terms: _Float64 = np.abs(coefficients[:, finite]) @ np.abs(differences[finite])
    return projected, terms


def without_rounding(projected: _Float64, terms: _Float64) -> _Float64:
    """Exact zeros where sums of terms of this total size leave only their rounding."""
    return np.where(np.abs(projected) <= _ROUNDING * terms, 0.0, projected)


def credits(
    names: tuple[str, ...],
    projected: _Float64,
    total: float,
    resamples: Resamples,
    level: float,
    sampling_error: _Float64,
    settings: Mapping[str, Any],
) -> Shapley:
    """Shapley values from sums of each trial: those of φ, then *alone*, then *last*."""
    values = projected.sum(axis=1) / resamples.total
    resampled = resamples.values(projected)
    ends = percentile_ends(resampled, level)
    n = len(names)
    return Shapley(
        names=names,
        value=values[:n],
        interval=ends[:n],
        standard_error=resampled[:n].std(axis=1, ddof=1),
        sampling_error=sampling_error,
        alone=values[n : 2 * n],
        alone_interval=ends[n : 2 * n],
        last=values[2 * n :],
        last_interval=ends[2 * n :],
        total=total,
        settings=settings,
    )


def interactions(
    names: tuple[str, ...],
    pairs: _Int64,
    projected: _Float64,
    resamples: Resamples,
    level: float,
    settings: Mapping[str, Any],
) -> Interactions:
    """Interactions from sums of each trial."""
    return Interactions(
        names=names,
        pairs=pairs,
        value=projected.sum(axis=1) / resamples.total,
        interval=percentile_ends(resamples.values(projected), level),
        settings=settings,
    )
