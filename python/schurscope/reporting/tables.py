"""The tables of a page: what a cell shows, and the exact numbers that are copied from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..ablation.profile import AblationProfile, Intervals

if TYPE_CHECKING:
    from ..diagnosis.cuts import CutCurve
    from ..diagnosis.nulls import Null
    from ..diagnosis.result import Diagnosis

__all__ = [
    "Cell",
    "Column",
    "Table",
    "account_table",
    "coupling_table",
    "curvature_table",
    "cut_table",
    "dose_table",
    "exact",
    "facts_table",
    "interaction_table",
    "named_tests",
    "null_table",
    "profile_table",
    "removal_table",
    "shown",
]


@dataclass(frozen=True)
class Column:
    """A column: its name in a CSV file, and its heading."""

    name: str
    heading: str
    numeric: bool = True
    interval: bool = False


@dataclass(frozen=True)
class Cell:
    """Words of a cell; `value` is what is copied, with the ends of its interval; perhaps a link."""

    text: str
    value: Any = None
    ends: tuple[float, float] | None = None
    link: str = ""

    @property
    def exact(self) -> str:
        """The value as a CSV file holds it."""
        return exact(self.text if self.value is None else self.value)


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first cell of a row is its heading."""

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    sortable: bool = field(default=False)


def exact(value: Any) -> str:
    """A value as a CSV file holds it: all digits, empty for NaN."""
    if isinstance(value, (bool, str)):
        return str(value).lower() if isinstance(value, bool) else value
    number = float(value)
    return "" if math.isnan(number) else repr(int(number) if number.is_integer() else number)


def shown(value: float, *, signed: bool = False, digits: int = 3) -> str:
    """A number for people: a few digits, a true minus sign, a dash for NaN."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    sign = "+" if signed and value else ""
    if value and not 1e-4 <= abs(value) < 10**5:
        text = f"{value:{sign}.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e")
    else:
        decimals = digits if value == 0 else digits - 1 - math.floor(math.log10(abs(value)))
        text = f"{value:{sign}.{max(decimals, 0)}f}" if value else "0"
    return text.replace("-", "−")


def number(value: Any, *, signed: bool = False, ends: Iterable[float] | None = None) -> Cell:
    """A number, perhaps with the ends of its interval."""
    low_high = None if ends is None else tuple(map(float, ends))
    known = low_high is not None and not any(map(math.isnan, low_high))
    return Cell(
        shown(float(value), signed=signed),
        float(value),
        (low_high[0], low_high[1]) if low_high is not None and known else None,
    )


def whole(value: Any) -> Cell:
    """A count."""
    return Cell(str(int(value)), int(value))


def p_value(value: float) -> Cell:
    """A p-value, two digits."""
    return Cell("–" if math.isnan(value) else f"{value:.2g}", value)


def coupling_table(found: Diagnosis) -> Table:
    """Every number about each coupling."""
    change = found.profile.definition.change_label
    columns = [
        Column("coupling", "coupling", numeric=False),
        Column("decision", "verdict", numeric=False),
        Column("change", f"{change} alone", interval=True),
        Column("last", "last", interval=True),
        Column("shapley", "Shapley value", interval=True),
        Column("removed_mass", "removed mass"),
        Column("sensitivity", "S_ΔT"),
        Column("quantile", "quantile"),
        Column("p_holm", "p"),
        Column("curvature", "curvature", interval=True),
        Column("mean_ablated", "mean ablated"),
        Column("reason", "harmless because", numeric=False),
    ]
    rows = []
    nan = float("nan")
    for name in found.couplings:
        row, (p, quantile) = found.profile[name], found.chance(name)
        last = value = Cell("–", nan)
        if (credit := found.shapley_of(name)) is not None:
            at = credit.names.index(name)
            last = number(credit.last[at], signed=True, ends=credit.last_interval[at])
            value = number(credit.value[at], signed=True, ends=credit.interval[at])
        at = found.dose.names.index(name)
        mean = nan
        if found.account is not None and name in found.account.couplings:
            mean = found.account.mean_ablated[found.account.couplings.index(name)]
        decision = found.decision(name)
        rows.append(
            [
                Cell(name),
                Cell(decision),
                number(row.change, signed=True, ends=found.change_interval(name)),
                last,
                value,
                number(row.removed_mass),
                number(row.sensitivity),
                number(quantile),
                p_value(p),
                number(found.dose.curvature[at], ends=found.dose.curvature_interval[at]),
                number(mean, signed=True),
                Cell(found.why(name) if decision == "not needed" else "–"),
            ]
        )
    level = found.settings["level"]
    return Table("couplings", f"The couplings, with {level:.0%} intervals", columns, rows)


def profile_table(profile: AblationProfile, intervals: Intervals) -> Table:
    """One row per ablation."""
    label, change = profile.definition.heading, profile.definition.change_label
    columns = [
        Column("ablation", "ablation", numeric=False),
        Column("value", label, interval=True),
        Column("change", change, interval=True),
        Column("removed_mass", "removed mass"),
        Column("sensitivity", "S_ΔT", interval=True),
        Column("remark", "remark", numeric=False),
    ]
    rows = []
    for place, row in enumerate(profile):
        remarks = ["vacuous"] * row.vacuous + ["diverged"] * row.diverged
        full = row.name == "full"
        rows.append(
            [
                Cell(row.name),
                number(row.value, ends=intervals.value[place]),
                Cell("–", float("nan"))
                if full
                else number(row.change, signed=True, ends=intervals.change[place]),
                Cell("–", float("nan")) if full else number(row.removed_mass),
                number(row.sensitivity, ends=intervals.sensitivity[place]),
                Cell(", ".join(remarks) or "–", ", ".join(remarks)),
            ]
        )
    caption = f"The ablations at α = {profile.alpha:g}, with 95% intervals"
    return Table("profile", caption, columns, rows)


def cut_table(curve: CutCurve, change: str, name: str) -> Table:
    """One row per cut."""
    columns = [
        Column("cut", "k, dimensions in R"),
        Column("change", change, interval=True),
        Column("removed_mass", "removed mass"),
        Column("key", "key of the last block"),
        Column("gap", "gap"),
        Column("tied", "near tie", numeric=False),
        Column("determined", "determined", numeric=False),
    ]
    rows = [
        [
            whole(curve.cut[at]),
            number(curve.change[at], signed=True, ends=curve.interval[at]),
            number(curve.removed_mass[at]),
            number(curve.key[at]),
            number(curve.gap[at]),
            Cell("yes" if curve.tied[at] else "no", bool(curve.tied[at])),
            Cell("yes" if curve.determined[at] else "no", bool(curve.determined[at])),
        ]
        for at in range(len(curve))
    ]
    of = f" of the gate {curve.gate}" if curve.gate else ""
    return Table(name, f"C→R{of} removed at every cut", columns, rows)


def removal_table(found: Diagnosis) -> Table:
    """The points of the two curves."""
    assert found.removable is not None
    columns = [
        Column("order", "order", numeric=False),
        Column("pair_share", "share of pairs"),
        Column("mass_share", "share of mass"),
        Column("loss", "loss on fresh trials"),
    ]
    curves = (("found", found.removable.curve), ("random", found.removable.random_curve))
    rows = [
        [Cell(name), *(number(value) for value in point)]
        for name, curve in curves
        for point in curve
    ]
    return Table("removal", "Loss along the order found, and in random order", columns, rows)


def account_table(found: Diagnosis) -> Table:
    """The factors of each coupling."""
    account = found.account
    assert account is not None
    factors = ("mass", "activity", "reading", "coherence", "response")
    columns = [Column("coupling", "coupling", numeric=False)]
    columns += [Column(name, name if name == "mass" else f"× {name}") for name in factors]
    columns += [Column("exact", "= exact loss"), Column("mean_ablated", "mean ablated")]
    rows = [
        [
            Cell(name),
            *(number(value) for value in account.factors[at]),
            number(account.exact[at], signed=True),
            number(account.mean_ablated[at], signed=True),
        ]
        for at, name in enumerate(account.couplings)
    ]
    return Table("account", "From mass to loss, factor by factor", columns, rows)


def named_tests(found: Diagnosis) -> list[tuple[str, Null, int]]:
    """Every test against a null: a name, the null and its row there."""
    words = {"N": "pairs of N", "outside": "pairs outside it", "partition": "a random R"}
    return [
        (f"{null.names[at]}, {words.get(null.pool[at], null.pool[at])}", null, at)
        for null in (found.pairs_null, found.partition_null)
        if null is not None
        for at in range(len(null))
    ]


def null_table(found: Diagnosis) -> Table:
    """One row per test."""
    columns = [
        Column("test", "coupling, against", numeric=False),
        Column("change", found.profile.definition.change_label),
        Column("draws", "draws"),
        Column("median", "median of the draws"),
        Column("quantile", "quantile"),
        Column("p", "p"),
        Column("p_holm", "p, Holm"),
    ]
    rows = [
        [
            Cell(name),
            number(null.change[at], signed=True),
            Cell(str(null.made[at])),
            number(null.median[at], signed=True),
            number(null.quantile[at]),
            p_value(float(null.p[at])),
            p_value(float(null.p_holm[at])),
        ]
        for name, null, at in named_tests(found)
    ]
    return Table("nulls", "Couplings beside random ablations", columns, rows)


def interaction_table(found: Diagnosis) -> Table:
    """One row per pair of couplings."""
    both = found.interactions
    columns = [
        Column("couplings", "couplings", numeric=False),
        Column("interaction", "interaction", interval=True),
    ]
    rows = [
        [
            Cell(f"{both.names[first]} × {both.names[last]}"),
            number(both.value[at], signed=True, ends=both.interval[at]),
        ]
        for at, (first, last) in enumerate(both.pairs)
    ]
    return Table("interactions", "Shapley interaction indices", columns, rows)


def dose_table(found: Diagnosis) -> Table:
    """One row per coupling and gain."""
    dose = found.dose
    columns = [
        Column("coupling", "coupling", numeric=False),
        Column("gain", "gain"),
        Column("change", found.profile.definition.change_label, interval=True),
        Column("removed_mass", "removed mass"),
    ]
    rows = [
        [
            Cell(name),
            number(gain),
            number(dose.change[at, place], signed=True, ends=dose.interval[at, place]),
            number(dose.removed_mass[at, place]),
        ]
        for at, name in enumerate(dose.names)
        for place, gain in enumerate(dose.gains)
    ]
    return Table("dose", "The change at each gain", columns, rows)


def curvature_table(found: Diagnosis) -> Table:
    """The curvature of each coupling."""
    dose = found.dose
    columns = [
        Column("coupling", "coupling", numeric=False),
        Column("curvature", "curvature", interval=True),
    ]
    rows = [
        [Cell(name), number(dose.curvature[at], ends=dose.curvature_interval[at])]
        for at, name in enumerate(dose.names)
    ]
    return Table("curvature", "Effect of small doses", columns, rows)


def facts_table(facts: Iterable[tuple[str, object]]) -> Table:
    """Names and values."""
    columns = [Column("fact", "fact", numeric=False), Column("value", "value", numeric=False)]
    rows = [[Cell(name), Cell(str(value))] for name, value in facts]
    return Table("provenance", "Where these numbers come from", columns, rows)
