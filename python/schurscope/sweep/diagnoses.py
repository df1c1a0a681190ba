"""Statistics over the diagnoses of a sweep with ``diagnose = true`` or ``"cuts"``.

The unit is the trained network, and the intervals are over networks: t-intervals of the mean, and
percentile bootstrap intervals beside them. Networks below their gate are excluded by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._internal.checks import Rng, choice, fraction, generator, positive_int
from ..diagnosis.account import KINDS
from ..diagnosis.cuts import CutCurve
from ..diagnosis.result import Diagnosis
from .collect import Collection
from .statistics import bootstrap, line, moments, with_holm

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "cut_curves",
    "diagnoses",
    "mass_by_kind",
    "prediction_agreement",
    "removable_against_width",
    "removable_shares",
    "summarize_cuts",
]

NETWORK = ["task", "recurrent", "N_h", "seed", "measure", "passed", "key"]
GROUP = ["task", "recurrent", "N_h"]
REMOVABLE = ("pair_share", "mass_share", "random_pair_share", "random_mass_share")
AGREEMENT = ("spearman", "overlap", "ratio")
ALIGNMENTS = ("cut", "from_gap")


def diagnoses(found: Collection) -> pd.DataFrame:
    """One row per diagnosed network. Reads every diagnosis of the store.

    Returns
    -------
    DataFrame
        `task`, `recurrent`, `N_h`, `seed`, `measure`, `passed`, `key`; `tolerance` and the shares
        of `Removable`: `pair_share`, `mass_share`, `random_pair_share` and `random_mass_share`;
        shares of mass of each kind of pair, see `Account`: `needed`, `helps`, `small`, `silent`,
        `unread` and `compensated`; and how predicted effects of pairs agree with exact ones, see
        `Agreement`: `spearman`, `overlap` and `ratio`. NaN where the diagnosis lacks the part.

    Raises
    ------
    ValueError
        A diagnosis is missing or damaged.
    """
    rows = [network | _of_network(found.diagnosis(network["key"])) for network in _done(found)]
    columns = [*NETWORK, "tolerance", *REMOVABLE, *KINDS, *AGREEMENT]
    return _frame(rows, columns)


def cut_curves(found: Collection) -> pd.DataFrame:
    """The cut curve of each diagnosed network: one row per network and cut.

    A sweep with ``diagnose = "cuts"`` suffices.

    Returns
    -------
    DataFrame
        `task`, `recurrent`, `N_h`, `seed`, `measure`, `passed`, `key`; `cut` (k, the dimensions in
        R), `from_gap` (k minus that of the largest gap in the spectrum), `change` (without CR),
        `removed_mass`, `gap`, `tied` and `determined`; see `CutCurve`. Of gated networks also
        `gate`, before `cut`. A T that is a single block has no row.

    Raises
    ------
    ValueError
        A diagnosis is missing or damaged.
    """
    rows = []
    for network in _done(found):
        rows += [
            {**network, **({"gate": gate} if gate else {}), **row}
            for gate, curve in found.curves(network["key"]).items()
            for row in _of_cuts(curve)
        ]
    columns = ["cut", "from_gap", "change", "removed_mass", "gap", "tied", "determined"]
    return _frame(rows, [*NETWORK, *columns])


def summarize_cuts(
    curves: pd.DataFrame,
    by: str = "cut",
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    passed_only: bool = True,
    rng: Rng = 0,
) -> pd.DataFrame:
    """The mean cut curve over networks.

    Parameters
    ----------
    curves : DataFrame
        Of `cut_curves`.
    by : {"cut", "from_gap"}
        Align the curves by the number of dimensions in R, or by the largest gap.
    level, n_resamples, passed_only, rng
        As for `summarize`.

    Returns
    -------
    DataFrame
        One row per task, construction, width, any gate, and aligned cut: `n` networks with a block
        boundary and a finite change there, `mean`, `sd`, `sem`, `t_low`, `t_high`, `boot_low`,
        `boot_high`.
    """
    choice(by, "by", ALIGNMENTS)
    estimate = _estimator(level, n_resamples, rng)
    kept = curves[curves["passed"]] if passed_only else curves
    keys = [*GROUP, *(["gate"] if "gate" in curves else []), by]
    groups: Any = kept.groupby(keys, observed=True, sort=False)
    rows = [dict(zip(keys, names, strict=True)) | estimate(g["change"]) for names, g in groups]
    return _frame(rows, keys).sort_values(keys, kind="stable", ignore_index=True)


def removable_shares(table: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """Shares of pairs and of mass that can go at once, beside random orders, at each width.

    Parameters
    ----------
    table : DataFrame
        Of `diagnoses`.
    **options
        `level`, `n_resamples`, `passed_only` and `rng` of `summarize`.

    Returns
    -------
    DataFrame
        One row per task, construction, width and `quantity`: `n`, `mean`, `sd`, `sem`, `t_low`,
        `t_high`, `boot_low`, `boot_high`, `median`, `lowest`, `highest`.
    """
    return _summarized(table, REMOVABLE, **options)


def mass_by_kind(table: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """Shares of the mass in pairs that are needed, help, or are harmless, and why.

    Parameters, columns and intervals as for `removable_shares`.
    """
    return _summarized(table, KINDS, **options)


def prediction_agreement(table: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """Agreement of predicted with exact effects of pairs: Spearman, overlap, ratio.

    Parameters, columns and intervals as for `removable_shares`.
    """
    return _summarized(table, AGREEMENT, **options)


def removable_against_width(
    table: pd.DataFrame, *, level: float = 0.95, passed_only: bool = True
) -> pd.DataFrame:
    """Trend of the removable shares with width: a line over log2 N_h, one point per network.

    Returns
    -------
    DataFrame
        One row per task, construction and `quantity`, with the columns of `against_width`.
    """
    level = fraction(level, "level")
    kept = table[table["passed"]] if passed_only else table
    rows = []
    groups: Any = kept.groupby(GROUP[:2], observed=True, sort=False)
    for names, group in groups:
        for quantity in REMOVABLE:
            known = group[np.isfinite(group[quantity])]
            width = np.log2(known["N_h"].to_numpy(dtype=np.float64))
            rows.append(
                dict(zip(GROUP[:2], names, strict=True))
                | {"quantity": quantity}
                | line(width, known[quantity].to_numpy(dtype=np.float64), level)
            )
    return with_holm(_frame(rows, [*GROUP[:2], "quantity"]))


def _done(found: Collection) -> Iterator[dict[str, Any]]:
    """What identifies each finished network."""
    done = found.jobs[found.jobs["state"] == "done"]
    for row in done[NETWORK].to_dict("records"):
        yield {str(name): value for name, value in row.items()}


def _of_cuts(curve: CutCurve) -> Iterator[dict[str, Any]]:
    widest = curve.cut[np.argmax(curve.gap)]
    for place in range(len(curve)):
        yield {
            "cut": int(curve.cut[place]),
            "from_gap": int(curve.cut[place] - widest),
            "change": float(curve.change[place]),
            "removed_mass": float(curve.removed_mass[place]),
            "gap": float(curve.gap[place]),
            "tied": bool(curve.tied[place]),
            "determined": bool(curve.determined[place]),
        }


def _of_network(diagnosis: Diagnosis) -> dict[str, float]:
    can_go, account, agreement = diagnosis.removable, diagnosis.account, diagnosis.atlas.agreement
    kinds: Mapping[str, float] = {} if account is None else account.mass_share
    return {
        "tolerance": float(diagnosis.settings["tolerance"]),
        **{name: float(getattr(can_go, name, np.nan)) for name in REMOVABLE},
        **{name: float(kinds.get(name, np.nan)) for name in KINDS},
        **{name: float(getattr(agreement, name, np.nan)) for name in AGREEMENT},
    }


def _summarized(
    table: pd.DataFrame,
    quantities: Sequence[str],
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    passed_only: bool = True,
    rng: Rng = 0,
) -> pd.DataFrame:
    estimate = _estimator(level, n_resamples, rng)
    kept = table[table["passed"]] if passed_only else table
    rows = []
    groups: Any = kept.groupby(GROUP, observed=True, sort=False)
    for names, group in groups:
        for quantity in quantities:
            sample = group[quantity].to_numpy(dtype=np.float64)
            known = sample[np.isfinite(sample)]
            ends = [np.median(known), known.min(), known.max()] if known.size else [np.nan] * 3
            rows.append(
                dict(zip(GROUP, names, strict=True))
                | {"quantity": quantity}
                | estimate(sample)
                | dict(zip(("median", "lowest", "highest"), map(float, ends), strict=True))
            )
    return _frame(rows, [*GROUP, "quantity"])


def _estimator(level: float, n_resamples: int, rng: Rng) -> Callable[[Any], dict[str, Any]]:
    """Moments and intervals of the finite values of a sample."""
    level, random = fraction(level, "level"), generator(rng)
    n_resamples = positive_int(n_resamples, "n_resamples")

    def estimate(sample: Any) -> dict[str, Any]:
        numbers = np.asarray(sample, dtype=np.float64)
        known = numbers[np.isfinite(numbers)]
        low, high = bootstrap(known, level, n_resamples, random)
        return moments(known, level) | {"boot_low": low, "boot_high": high}

    return estimate


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """The rows; with these columns at least if there are none."""
    import pandas as pd

    return pd.DataFrame(list(rows)) if rows else pd.DataFrame(columns=list(columns))
