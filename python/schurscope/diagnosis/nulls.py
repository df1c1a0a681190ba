"""Whether a coupling matters more than chance: random removals of the same mass, random cuts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, choice, fraction, positive_int, shown
from .._internal.frozen import ReadOnly
from .._internal.holm import holm
from ..ablation.batch import Batch
from ..ablation.measures import Score
from ..ablation.names import is_of_couplings, named_couplings
from ..ablation.plan import Ablation
from ..ablation.profile import AblationProfile
from ..networks.network import Network
from ..trials.trials import Trials
from .chance import has_partition, pair_draws, partition_draws
from .compared import Compared
from .exact import Reference, full_sums
from .question import Question
from .runs import mean_change

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Null", "null"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
KINDS = ("pairs", "partition")
_SAME = 1e-3  # relative difference of rows 0 run on machines of different instruction sets


@dataclass(frozen=True, eq=False, repr=False)
class Null(ReadOnly):
    """Tests of ablations against random ones; made by `schurscope.null`.

    Attributes
    ----------
    names : (tests,) of str
        The ablation.
    pool : (tests,) of str
        Where the random ones come from: ``"N"``, all pairs of blocks; ``"outside"``, those that the
        ablation leaves alone, unless these are all; ``"partition"``, random sets of eigenvalues in
        R's place.
    change : (tests,)
        Change of the measure under the ablation.
    draws : (tests, draws)
        Change of the measure under each random one. NaN if the rollout diverged or a swap of blocks
        was refused, beyond the draws made, and for all draws of a pool without more mass than the
        ablation removes.
    made : (tests,)
        Number of draws made; with an error rate, they end when p exceeds 0.2 whatever follows.
    p_above, p_below : (tests,)
        One-sided: (1 + number of draws at least, or at most, as large as `change`) / (1 + draws
        made). A draw that was made and is NaN counts in both.
    p : (tests,)
        Two-sided: twice the smaller of the two, at most 1.
    p_holm : (tests,)
        `p`, corrected by Holm over the ablations tested with the same pool, in the same gates.
    settings : dict
        Kind, measure, alpha, number of trials and draws.
    """

    names: npt.NDArray[np.str_]
    pool: npt.NDArray[np.str_]
    change: _Float64
    draws: _Float64
    made: _Int64
    p_above: _Float64
    p_below: _Float64
    p: _Float64
    p_holm: _Float64
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def quantile(self) -> _Float64:
        """Share of the draws below `change`: (tests,); NaN where there are none."""
        drawn = np.isfinite(self.draws)
        with np.errstate(invalid="ignore"):
            below: _Float64 = ((self.draws < self.change[:, None]) & drawn).sum(axis=1) / drawn.sum(
                axis=1
            )
        return below

    @property
    def median(self) -> _Float64:
        """Median of the draws: (tests,); NaN where there are none."""
        known = [row[np.isfinite(row)] for row in self.draws]
        return np.array([np.median(row) if row.size else np.nan for row in known])

    def to_dataframe(self) -> pd.DataFrame:
        """One row per test; ``attrs`` holds the settings. Needs pandas."""
        import pandas as pd

        frame = pd.DataFrame(
            {
                "ablation": self.names,
                "pool": self.pool,
                "draws": self.made,
                "change": self.change,
                "median": self.median,
                "quantile": self.quantile,
                "p_above": self.p_above,
                "p_below": self.p_below,
                "p": self.p,
                "p_holm": self.p_holm,
            }
        )
        frame.attrs.update(self.settings)
        return frame

    def __len__(self) -> int:
        """Number of tests."""
        return len(self.names)

    def __repr__(self) -> str:
        return f"Null(kind={self.settings['kind']!r}, tests={len(self)})"

    def __str__(self) -> str:
        settings = self.settings
        width = max(len("ablation"), *map(len, self.names)) + 2
        lines = [
            f"change of {settings['measure']} over {settings['n_trials']} trials, alpha "
            f"{settings['alpha']:g}, against up to {settings['n_draws']} draws; "
            "two-sided p",
            f"{'ablation':<{width}}{'drawn from':<12}{'change':>11}{'median':>11}{'quantile':>10}"
            f"{'p':>9}{'Holm':>9}",
        ]
        median, quantile = self.median, self.quantile
        for place, name in enumerate(self.names):
            cells = f"{name:<{width}}{self.pool[place]:<12}{self.change[place]:>+11.4g}"
            if np.isnan(self.p[place]):
                lines.append(f"{cells}{'too little mass to draw from':>39}")
                continue
            lines.append(
                f"{cells}{median[place]:>+11.4g}{quantile[place]:>10.3f}{self.p[place]:>9.3g}"
                f"{self.p_holm[place]:>9.3g}"
            )
        return "\n".join(lines)


def null(
    profile: AblationProfile,
    network: Network,
    trials: Trials,
    *,
    kind: str = "pairs",
    draws: int = 400,
    ablations: Iterable[str] | None = None,
    error_rate: float | None = None,
    rng: Rng = 0,
    n_threads: int = 0,
) -> Null:
    """Compare the ablations of a profile with random ones.

    ``"pairs"`` removes random pairs of blocks of N until as much mass ‖ΔT‖ is gone as the ablation
    removes; the last pair gets the gain that makes it exact. The pairs come from all of N, and in a
    second test from what the ablation leaves of N. Is the ablation's effect more, or less, than
    that of its mass? In a gated network, each gate that the ablation names loses as much mass as
    the ablation removes from it.

    ``"partition"`` puts a random set of eigenvalues in the place of R, of its dimension and drawn
    uniformly from all such sets of blocks, and runs the same ablation. Is the cut by modulus
    special? In a gated network, each gate that the ablation names gets a set of its own.

    Parameters
    ----------
    profile : AblationProfile
        Its alpha, measure and Schur form are used.
    network, trials
        Those of the profile.
    kind : {"pairs", "partition"}
    draws : int
        The smallest two-sided p is 2 / (1 + draws), and Holm multiplies it by the number of
        ablations in the same gates.
    ablations : iterable of str, optional
        Rows of the profile that are named by couplings, such as ``"CR"``. None means all of them
        that are not vacuous, for ``"partition"`` without BB, which has no sectors.
    error_rate : float, optional
        A draw takes only as many trials, in random order, as decide whether its change exceeds the
        ablation's, wrong with at most this probability, see `decided`; and a test makes no more
        draws when its two-sided p will exceed 0.2 whatever they are. None takes all trials for all
        draws.
    rng : numpy.random.Generator, SeedSequence or int
        Source of the draws and of the cell's noise. With noise, the ablations are run again, so
        that they and the draws share it.
    n_threads : int
        As for `ablate`.

    Returns
    -------
    Null

    Raises
    ------
    TypeError, ValueError
        The profile is not from `ablate`; network or trials are not the profile's; no such
        ablations; no other set of eigenvalues has R's dimension, for ``"partition"``.
    """
    choice(kind, "kind", KINDS)
    draws = positive_int(draws, "draws")
    question = _question(profile, network, trials, rng, n_threads)
    cuts, coordinates, evaluator = profile.cuts, profile.coordinates, question.evaluator()
    names = _rows(profile, kind, ablations)
    named = [tuple(named_couplings(name, coordinates.gates)) for name in names]
    if error_rate is not None:
        error_rate = fraction(error_rate, "error_rate")
        evaluator = question.evaluator(question.shuffled())
    batch = Batch.of([Ablation.of(name, cuts) for name in names], coordinates.gates)
    sums, _ = evaluator.sums(batch)
    with np.errstate(invalid="ignore", over="ignore"):
        controls = sums - full_sums(evaluator)
    observed = mean_change(evaluator, controls)
    compared = [
        Compared(
            evaluator,
            batch.rows(place, place + 1),
            Reference(sums[place], controls[place]),
            float(value),
            error_rate,
        )
        for place, value in enumerate(observed)
    ]
    if kind == "pairs":
        row, pool, drawn, made = pair_draws(compared, coordinates, draws, question.draws)
    else:
        row, pool = np.arange(len(names)), np.full(len(names), "partition")
        drawn, made = partition_draws(compared, cuts, names, draws, question.draws)
    change = observed[row]
    p_above, p_below, p = _p_values(change, drawn, made)
    corrected = np.full(len(p), np.nan)
    # The couplings of each gate are a family, and so are those of all gates together.
    family = np.array(
        [f"{pool_} {sorted(named[place])}" for pool_, place in zip(pool, row, strict=True)]
    )
    for name in np.unique(family):
        corrected[family == name] = holm(p[family == name])
    return Null(
        names=np.array(names)[row],
        pool=pool,
        change=change,
        draws=drawn,
        made=made,
        p_above=p_above,
        p_below=p_below,
        p=p,
        p_holm=corrected,
        settings={
            "kind": kind,
            "measure": profile.measure,
            "alpha": profile.alpha,
            "n_trials": evaluator.n_trials,
            "n_draws": draws,
        },
    )


def _question(
    profile: AblationProfile, network: Network, trials: Trials, rng: Rng, n_threads: int
) -> Question:
    """The question that the profile answers, once more; errors as for `null`."""
    if not isinstance(profile, AblationProfile):
        raise TypeError(f"profile must be an AblationProfile, got {type(profile).__name__}")
    if isinstance(profile.definition, Score) and profile.definition.function is None:
        raise ValueError("profile must come from ablate, got scores of ablate_with")
    own, gates = profile.coordinates.gates, getattr(network, "gates", {}) or ("",)
    if tuple(own) != tuple(gates):
        told = [", ".join(names) if names[0] else "no gates" for names in (own, tuple(gates))]
        raise ValueError(f"profile must be of a network with {told[1]}, as given, got {told[0]}")
    schur = profile.coordinates.argument
    question = Question(network, trials, profile.definition, None, schur, rng, n_threads)
    n_trials = profile.per_trial.shape[1]
    if trials.n_trials != n_trials:
        raise ValueError(f"trials must be the profile's {n_trials}, got {trials.n_trials}")
    if network.cell.noise == 0:
        evaluator = question.evaluator()
        row = full_sums(evaluator) * (n_trials / evaluator.total)
        scale = _SAME * float(np.abs(profile.per_trial[0]).mean())
        if not np.allclose(row, profile.per_trial[0], rtol=_SAME, atol=scale, equal_nan=True):
            raise ValueError(
                "network and trials must be those of the profile, got others: "
                f"{profile.measure} of the full network is {row.mean():.6g} on them, "
                f"{profile.value[0]:.6g} in the profile"
            )
    return question


def _rows(profile: AblationProfile, kind: str, asked: Iterable[str] | None) -> list[str]:
    """Names of the rows to test; errors as for `null`."""
    gates = profile.coordinates.gates
    known = [
        name
        for name, vacuous in zip(profile.names, profile.vacuous, strict=True)
        if is_of_couplings(name, gates)
        and not vacuous
        and not (kind == "partition" and "BB" in name)
    ]
    if asked is None:
        names = [
            name for name in known if kind == "pairs" or has_partition(profile.cuts, name)
        ] or known
    elif isinstance(asked, str):
        raise TypeError(f"ablations must be an iterable of names, got {shown(asked)}")
    else:
        names = [choice(name, "ablations", known) for name in asked]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"ablations must be one or more distinct rows of {known}, got {names}")
    if kind == "partition" and (
        lacking := [x for x in names if not has_partition(profile.cuts, x)]
    ):
        cuts = ", ".join(f"{gate} {cut.n_R}".strip() for gate, cut in profile.cuts.items())
        raise ValueError(
            "profile must have a cut that another set of eigenvalues could make, got n_R = "
            f"{cuts} of {profile.coordinates.n_hidden} at alpha={profile.alpha:g} for {lacking[0]}"
        )
    return names


def _p_values(
    change: _Float64, draws: _Float64, made: _Int64
) -> tuple[_Float64, _Float64, _Float64]:
    """One-sided p above and below, and the two-sided p; NaN where nothing was drawn."""
    unknown = ~np.isfinite(draws) & (np.arange(draws.shape[1]) < made[:, None])
    above = ((draws >= change[:, None]) | unknown).sum(axis=1)
    below = ((draws <= change[:, None]) | unknown).sum(axis=1)
    p_above, p_below = ((1 + count) / (1 + made) for count in (above, below))
    nothing = ~np.isfinite(draws).any(axis=1)
    p_above[nothing] = p_below[nothing] = np.nan
    return p_above, p_below, np.minimum(1.0, 2 * np.minimum(p_above, p_below))
