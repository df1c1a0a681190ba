"""The result of a diagnosis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.files import MAX_BYTES
from .._internal.frozen import ReadOnly, computed_once
from ..ablation.measures import Variance, Weight
from ..ablation.profile import AblationProfile
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import COUPLINGS
from .account import Account
from .atlas import Agreement, Atlas
from .cuts import CutCurve
from .dose import Dose
from .files import load_result, save_result
from .interactions import Interactions, Shapley
from .nulls import Null
from .removable import Removable
from .single_trials import Trajectories, TrialEffects
from .verdicts import decision, verdict, warnings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Diagnosis", "load_part", "save_part"]

_Float64 = npt.NDArray[np.float64]
_FORMAT = "schurscope-diagnosis-1"


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(ReadOnly):
    """What a network needs, and why; made by `schurscope.diagnose`. ``print`` shows one page.

    Attributes
    ----------
    profile : AblationProfile
        The couplings and their subsets.
    cuts : CutCurve or None
        None if T is a single block.
    atlas : Atlas
    removable : Removable or None
        None if the measure has no second derivative and no surrogate.
    shapley : Shapley
    interactions : Interactions
    pairs_null : Null or None
        Against random pairs; None if nothing can be removed.
    partition_null : Null or None
        Against random sets in R's place; None if there is only one.
    account : Account or None
        None as for `removable`.
    dose : Dose
    settings : dict
        Version, tolerance, level, numbers of trials, seed, and SHA-256 of the network's and the
        trials' numbers.
    trajectories : Trajectories or None
        Outputs on a few trials; None in files without them.
    trial_effects : TrialEffects or None
        Effects of pairs on single trials; None where no pair was run, and in files without them.
    """

    profile: AblationProfile
    cuts: CutCurve | None
    atlas: Atlas
    removable: Removable | None
    shapley: Shapley
    interactions: Interactions
    pairs_null: Null | None
    partition_null: Null | None
    account: Account | None
    dose: Dose
    settings: Mapping[str, Any]
    trajectories: Trajectories | None = None
    trial_effects: TrialEffects | None = None

    @property
    def couplings(self) -> tuple[str, ...]:
        """RR, CR, CC and BB."""
        return COUPLINGS

    @property
    def verdicts(self) -> tuple[str, ...]:
        """One sentence for each coupling."""
        return tuple(verdict(self, coupling) for coupling in self.couplings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before believing the verdicts."""
        return tuple(warnings(self))

    def decision(self, coupling: str) -> str:
        """``"needed"``, ``"a burden"``, ``"not needed"``, ``"undecided"`` or ``"vacuous"``."""
        return decision(self, coupling)

    def loss(self, coupling: str) -> float:
        """What the task loses without a coupling: positive is worse."""
        return self.profile.definition.loss_sign * self.profile[coupling].change

    def change_interval(self, coupling: str) -> _Float64:
        """Interval of the change of the measure: (2,)."""
        interval: _Float64 = self._intervals[self.profile.names.index(coupling)]
        return interval

    @computed_once
    def _intervals(self) -> _Float64:
        return self.profile.interval(self.settings["level"]).change

    def loss_interval(self, coupling: str) -> _Float64:
        """Interval of the loss: (2,)."""
        return np.sort(self.profile.definition.loss_sign * self.change_interval(coupling))

    def chance(self, coupling: str) -> tuple[float, float]:
        """The two-sided p and the quantile of a coupling among random pairs of N of its mass.

        p is corrected by Holm over the couplings; the quantile is that of the change. NaN where
        nothing was drawn.
        """
        null_ = self.pairs_null
        if null_ is None or not (at := (null_.names == coupling) & (null_.pool == "N")).any():
            return float("nan"), float("nan")
        return float(null_.p_holm[at][0]), float(null_.quantile[at][0])

    def why(self, coupling: str) -> str:
        """Why a harmless coupling is harmless: small, silent, unread or compensated.

        Empty without an account.
        """
        if self.account is None:
            return ""
        tolerance = self.settings["tolerance"]
        mass, activity, reading, coherence, _ = np.nan_to_num(
            self.account.factors[self.account.couplings.index(coupling)]
        )
        if mass < tolerance:
            return "small"
        if mass * activity < tolerance:
            return "silent"
        return "unread" if mass * activity * reading * coherence < tolerance else "compensated"

    def to_dataframe(self) -> pd.DataFrame:
        """One row per coupling; ``attrs`` holds the settings. Needs pandas."""
        import pandas as pd

        rows = []
        for name, sentence in zip(self.couplings, self.verdicts, strict=True):
            row, (low, high) = self.profile[name], self.change_interval(name)
            entry = {
                "coupling": name,
                "change": row.change,
                "change_low": low,
                "change_high": high,
                "removed_mass": row.removed_mass,
                "sensitivity": row.sensitivity,
                "p_pairs": self.chance(name)[0],
                "quantile_pairs": self.chance(name)[1],
                "curvature": self.dose.curvature[self.dose.names.index(name)],
            }
            if name in self.shapley.names:
                place = self.shapley.names.index(name)
                entry |= {"shapley": self.shapley.value[place], "last": self.shapley.last[place]}
            if self.account is not None:
                place = self.account.couplings.index(name)
                entry["mean_ablated"] = self.account.mean_ablated[place]
            rows.append({**entry, "verdict": sentence})
        frame = pd.DataFrame(rows)
        frame.attrs.update(self.settings)
        return frame

    def plot(self) -> Figure:
        """The page as one figure. Needs matplotlib."""
        from ..plotting.diagnosis import diagnosis_page

        return diagnosis_page(self)

    def report(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write one HTML file; the title, facts and files as for `schurscope.report`."""
        from ..reporting import report

        report(self, path, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an .npz file to exactly `path`, atomically."""
        save_part(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Diagnosis:
        """Read a file written by `save`; nothing is unpickled.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            The file is damaged or not a diagnosis.
        """
        result = load_part(path, max_bytes)
        if not isinstance(result, cls):
            raise ValueError(f"{path} holds a {type(result).__name__}, not a diagnosis")
        return result

    def __repr__(self) -> str:
        return f"Diagnosis(measure={self.profile.measure!r}, alpha={self.profile.alpha:g})"

    def __str__(self) -> str:
        profile, sectors = self.profile, self.profile.sectors
        lines = [f"warning: {text}" for text in self.warnings]
        lines += [
            f"{profile.origin}; alpha {profile.alpha:g}: n_R {sectors.n_R} of "
            f"N_h {profile.schur.n_hidden}, gap {sectors.gap:.3g}",
            f"full network: {profile.definition.heading} {profile.value[0]:.4g}",
            "",
            *self.verdicts,
            "",
            _table(self),
            "",
        ]
        for part in (self.removable, self.account):
            if part is not None:
                lines += [str(part), ""]
        return "\n".join(lines).rstrip()


def save_part(path: str | os.PathLike[str], part: Diagnosis | CutCurve) -> None:
    """Write a diagnosis or a cut curve alone; see `Diagnosis.save`."""
    save_result(path, _FORMAT, part)


def load_part(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> Diagnosis | CutCurve:
    """Read what `save_part` wrote; errors as for `Diagnosis.load`."""
    types = {kind.__name__: kind for kind in _TYPES}
    part = load_result(path, _FORMAT, types, max_bytes)
    if not isinstance(part, (Diagnosis, CutCurve)):
        raise ValueError(f"{path} holds a {type(part).__name__}, not a diagnosis or a cut curve")
    return part


def _table(diagnosis: Diagnosis) -> str:
    """Mass, effect alone and last, Shapley value, chance, curvature and mean ablation."""
    frame = [
        f"{'coupling':<10}{'mass':>8}{'alone':>10}{'last':>10}{'Shapley':>10}{'p chance':>10}"
        f"{'curvature':>11}{'mean abl.':>11}"
    ]
    shapley, explained = diagnosis.shapley, diagnosis.account
    for name in diagnosis.couplings:
        row = diagnosis.profile[name]
        last = credit = mean = float("nan")
        if name in shapley.names:
            place = shapley.names.index(name)
            last, credit = float(shapley.last[place]), float(shapley.value[place])
        if explained is not None:
            mean = float(explained.mean_ablated[explained.couplings.index(name)])
        curvature = float(diagnosis.dose.curvature[diagnosis.dose.names.index(name)])
        cells = (
            (row.removed_mass, ">8.3f"),
            (row.change, ">+10.3g"),
            (last, ">+10.3g"),
            (credit, ">+10.3g"),
            (diagnosis.chance(name)[0], ">10.2g"),
            (curvature, ">11.3g"),
            (mean, ">+11.3g"),
        )
        frame.append(f"{name:<10}" + "".join(_cell(value, spec) for value, spec in cells))
    return "\n".join(frame)


def _cell(value: float, spec: str) -> str:
    width = int("".join(c for c in spec.split(".")[0] if c.isdigit()))
    return f"{'–':>{width}}" if np.isnan(value) else format(value, spec)


_TYPES = (
    Diagnosis,
    AblationProfile,
    OrderedSchur,
    Variance,
    Weight,
    CutCurve,
    Atlas,
    Agreement,
    Removable,
    Shapley,
    Interactions,
    Null,
    Account,
    Dose,
    Trajectories,
    TrialEffects,
)
