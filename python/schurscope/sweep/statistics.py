"""Statistics over networks: effect sizes, confidence intervals and tests.

The unit is the trained network: a row of `Collection.rows` is one network with one ablation. Every
function takes such a table and returns one with a row per estimate or test. Networks below their
gate are excluded by default, and diverged rollouts have no value; both are counted in every row, so
nothing is dropped silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, choice, fraction, generator, positive_int
from .._internal.holm import holm

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "against_width",
    "bootstrap",
    "effects",
    "holm",
    "line",
    "moments",
    "paired_differences",
    "summarize",
    "with_holm",
]

GROUP = ["task", "recurrent", "N_h", "alpha", "ablation"]
RESAMPLES_AT_ONCE = 256  # of the bootstrap, so that memory stays small for any number of networks
QUANTITIES = ("value", "change", "removed_mass", "sensitivity", "n_R", "gap", "baseline", "loss")

_Float64 = npt.NDArray[np.float64]


def summarize(
    rows: pd.DataFrame,
    quantity: str = "change",
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    passed_only: bool = True,
    rng: Rng = 0,
) -> pd.DataFrame:
    """Mean over networks, its standard error and two intervals, for each kind of network.

    Parameters
    ----------
    rows : DataFrame
        `Collection.rows`.
    quantity : {"value", "change", "removed_mass", "sensitivity", "n_R", "gap", "baseline", "loss"}
    level : float
        Coverage of the intervals, in (0, 1].
    n_resamples : int
        Resamples of the percentile bootstrap of the mean over networks.
    passed_only : bool
        Exclude networks below their gate.
    rng : numpy.random.Generator, SeedSequence, int or None

    Returns
    -------
    DataFrame
        One row per task, construction, width, alpha and ablation: `n` networks with a finite
        value, `mean`, `sd`, `sem`, `t_low`, `t_high`, `boot_low`, `boot_high`, and the counts
        `below_gate`, `vacuous` and `diverged`. A single network has neither SEM nor intervals.
    """
    level = fraction(level, "level")
    n_resamples, random = positive_int(n_resamples, "n_resamples"), generator(rng)
    found = []
    for names, group in _groups(rows, GROUP):
        sample, counts = _sample(group, quantity, passed_only)
        low, high = bootstrap(sample, level, n_resamples, random)
        found.append(
            dict(zip(GROUP, names, strict=True))
            | moments(sample, level)
            | {"boot_low": low, "boot_high": high}
            | counts
        )
    return _table(found)


def effects(
    rows: pd.DataFrame,
    quantity: str = "change",
    *,
    level: float = 0.95,
    passed_only: bool = True,
) -> pd.DataFrame:
    """Test each ablation for an effect: t-tests of a mean change of 0, Holm-corrected.

    The correction covers all rows of the table: tasks × ablations × every other axis of the sweep.
    Ablations that are vacuous in every network are not tested and have no row.

    Returns
    -------
    DataFrame
        One row per task, construction, width, alpha and ablation except the full network: `n`,
        `mean`, `sd`, `sem`, `t_low`, `t_high`, `t`, `p`, `p_holm` and the counts of `summarize`.
    """
    ablated = rows[rows["ablation"] != "full"]
    found = []
    for names, group in _groups(ablated, GROUP):
        sample, counts = _sample(group, quantity, passed_only)
        if counts["vacuous"] == len(group):
            continue
        found.append(
            dict(zip(GROUP, names, strict=True))
            | moments(sample, fraction(level, "level"))
            | _t_test(sample)
            | counts
        )
    return with_holm(_table(found))


def paired_differences(
    rows: pd.DataFrame,
    quantity: str = "change",
    *,
    level: float = 0.95,
    passed_only: bool = True,
) -> pd.DataFrame:
    """Differences between two ablations of the same networks, for every pair of ablations.

    Paired t-tests of a mean difference of 0, so that variation between networks cancels; corrected
    by Holm over all rows of the table.

    Returns
    -------
    DataFrame
        One row per task, construction, width, alpha and pair: `first`, `second`, then for first
        minus second `n`, `mean`, `sd`, `sem`, `t_low`, `t_high`, `t`, `p`, `p_holm`.
    """
    kept = rows[rows["passed"]] if passed_only else rows
    kept = kept[kept["ablation"] != "full"]
    group_names = GROUP[:-1]
    found = []
    for names, group in _groups(kept, group_names):
        wide = group.pivot(index="seed", columns="ablation", values=_quantity(quantity))
        ablations = [name for name in dict.fromkeys(group["ablation"]) if name in wide.columns]
        for place, first in enumerate(ablations):
            for second in ablations[place + 1 :]:
                difference = _finite(wide[first].to_numpy() - wide[second].to_numpy())
                found.append(
                    dict(zip(group_names, names, strict=True))
                    | {"first": first, "second": second}
                    | moments(difference, fraction(level, "level"))
                    | _t_test(difference)
                )
    return with_holm(_table(found))


def against_width(
    rows: pd.DataFrame,
    quantity: str = "change",
    *,
    level: float = 0.95,
    passed_only: bool = True,
) -> pd.DataFrame:
    """Trend with width: a least-squares line over log2 N_h, one point per network.

    Returns
    -------
    DataFrame
        One row per task, construction, alpha and ablation: `n` networks, `n_widths`, `slope`
        (per doubling of the width), `slope_low`, `slope_high` (t-interval), `p` of slope 0 and
        `p_holm`. The slope needs two widths, its interval three networks.
    """
    group_names = [name for name in GROUP if name != "N_h"]
    found = []
    for names, group in _groups(rows, group_names):
        kept = group[group["passed"]] if passed_only else group
        numbers = kept[_quantity(quantity)].to_numpy(dtype=np.float64, na_value=np.nan)
        is_finite = np.isfinite(numbers)
        width = np.log2(kept["N_h"].to_numpy(dtype=np.float64)[is_finite])
        found.append(
            dict(zip(group_names, names, strict=True))
            | line(width, numbers[is_finite], fraction(level, "level"))
        )
    return with_holm(_table(found))


def _quantity(quantity: str) -> str:
    return choice(quantity, "quantity", QUANTITIES)


def _groups(rows: pd.DataFrame, names: list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    return iter(rows.groupby(names, observed=True, sort=False))


def _sample(
    group: pd.DataFrame, quantity: str, passed_only: bool
) -> tuple[_Float64, dict[str, int]]:
    """The finite values of a group, and the counts of its other rows."""
    counts = {
        "below_gate": int((~group["passed"]).sum()),
        "vacuous": int(group["vacuous"].sum()),
        "diverged": int(group["diverged"].sum()),
    }
    kept = group[group["passed"]] if passed_only else group
    numbers = kept[_quantity(quantity)].to_numpy(dtype=np.float64, na_value=np.nan)
    return _finite(numbers), counts


def _finite(numbers: _Float64) -> _Float64:
    return numbers[np.isfinite(numbers)]


def moments(sample: _Float64, level: float) -> dict[str, Any]:
    """n, mean, sd, sem, t_low and t_high of a sample; NaN where it is too small."""
    from scipy.stats import sem, t  # slow to import

    n = len(sample)
    if n < 2:
        mean = float(sample[0]) if n else np.nan
        nothing = dict.fromkeys(("sd", "sem", "t_low", "t_high"), np.nan)
        return {"n": n, "mean": mean, **nothing}
    mean, error = float(sample.mean()), float(sem(sample))
    reach = float(t.ppf(0.5 + level / 2, n - 1)) * error
    return {
        "n": n,
        "mean": mean,
        "sd": float(sample.std(ddof=1)),
        "sem": error,
        "t_low": mean - reach,
        "t_high": mean + reach,
    }


def _t_test(sample: _Float64) -> dict[str, float]:
    """Two-sided t-test of a mean of 0; NaN for a sample without spread."""
    from scipy.stats import ttest_1samp

    if len(sample) < 2 or sample.std() == 0.0:
        return {"t": np.nan, "p": np.nan}
    found = ttest_1samp(sample, 0.0)
    return {"t": float(found.statistic), "p": float(found.pvalue)}


def bootstrap(
    sample: _Float64, level: float, n_resamples: int, random: np.random.Generator
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean; NaN for fewer than two numbers."""
    from scipy import stats

    if len(sample) < 2:
        return np.nan, np.nan
    low, high = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=n_resamples,
        batch=RESAMPLES_AT_ONCE,
        confidence_level=level,
        method="percentile",
        random_state=random,  # the only name in SciPy before 1.15
    ).confidence_interval
    return float(low), float(high)


def line(x: _Float64, y: _Float64, level: float) -> dict[str, Any]:
    """Least-squares slope of y over x, its t-interval and p; NaN where there are too few points."""
    from scipy.stats import linregress, t

    n, n_widths = len(x), len(np.unique(x))
    fit: dict[str, Any] = {"n": n, "n_widths": n_widths}
    fit |= dict.fromkeys(("slope", "slope_low", "slope_high", "p"), np.nan)
    if n_widths < 2:
        return fit
    found = linregress(x, y)
    fit["slope"] = slope = float(found.slope)
    if n > 2:
        reach = float(t.ppf(0.5 + level / 2, n - 2) * found.stderr)
        p = float(found.pvalue) if found.stderr > 0 else np.nan
        fit |= {"slope_low": slope - reach, "slope_high": slope + reach, "p": p}
    return fit


def with_holm(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``p_holm`` after ``p``."""
    if len(table):
        after = list(table.columns).index("p") + 1
        table.insert(after, "p_holm", holm(table["p"].to_numpy()))
    return table


def _table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(rows))
