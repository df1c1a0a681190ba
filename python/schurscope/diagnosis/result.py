"""The result of a diagnosis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import choice
from .._internal.files import MAX_BYTES
from .._internal.frozen import ReadOnly, computed_once
from ..ablation.measures import Variance, Weight
from ..ablation.names import single_names
from ..ablation.profile import AblationProfile
from ..coordinates.forms import Coordinates
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import COUPLINGS
from .account import Account
from .atlas import Agreement, Atlas
from .cuts import CutCurve, CutCurves
from .dose import Dose
from .files import load_result, save_result
from .interactions import Interactions, Shapley
from .nulls import Null
from .page import text_of
from .removable import Removable
from .single_trials import Trajectories, TrialEffects
from .subset_game import SubsetGame
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
    curves : dict
        Gate → its `CutCurve`, unless its T is a single block; the vanilla cell's gate is ``""``.
    atlas : Atlas
    removable : Removable or None
        None if the measure has no second derivative and no surrogate.
    shapley : Shapley
    interactions : Interactions
        Of RR, CR and CC; in a gated network in all gates together.
    game : SubsetGame or None
        The game of RR, CR and CC of each gate; None for the vanilla cell.
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
    curves: Mapping[str, CutCurve]
    atlas: Atlas
    removable: Removable | None
    shapley: Shapley
    interactions: Interactions
    game: SubsetGame | None
    pairs_null: Null | None
    partition_null: Null | None
    account: Account | None
    dose: Dose
    settings: Mapping[str, Any]
    trajectories: Trajectories | None = None
    trial_effects: TrialEffects | None = None

    @property
    def cuts(self) -> CutCurve | None:
        """The cut curve, None if T is a single block; AttributeError if gated: see `curves`."""
        if self.profile.gates:
            raise AttributeError(
                "a diagnosis of a gated network has a cut curve for each: curves[…]"
            )
        return self.curves.get("")

    @property
    def couplings(self) -> tuple[str, ...]:
        """RR, CR, CC and BB; in a gated network of all gates together, then of each: ``"n:CR"``."""
        return single_names(self.profile.coordinates.gates)

    @property
    def joint(self) -> tuple[str, ...]:
        """RR, CR, CC and BB, in all gates together."""
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
        name = choice(coupling, "coupling", self.profile.names)
        interval: _Float64 = self._intervals[self.profile.names.index(name)]
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
        choice(coupling, "coupling", self.couplings)
        null_ = self.pairs_null
        if null_ is None or not (at := (null_.names == coupling) & (null_.pool == "N")).any():
            return float("nan"), float("nan")
        return float(null_.p_holm[at][0]), float(null_.quantile[at][0])

    def credit(self, coupling: str) -> tuple[float, float]:
        """The Shapley value of a coupling, and its effect when it is removed last; NaN for BB.

        Those of a gate are of the game of all gates' couplings.
        """
        shapley = self.shapley_of(coupling)
        if shapley is None:
            return float("nan"), float("nan")
        place = shapley.names.index(coupling)
        return float(shapley.value[place]), float(shapley.last[place])

    def shapley_of(self, coupling: str) -> Shapley | None:
        """The Shapley values that credit a coupling, of the game of gates or not; None for BB."""
        choice(coupling, "coupling", self.couplings)
        for shapley in (self.shapley, self.game.shapley if self.game is not None else None):
            if shapley is not None and coupling in shapley.names:
                return shapley
        return None

    def why(self, coupling: str) -> str:
        """Why a harmless coupling is harmless: small, silent, unread or compensated.

        Empty without an account, and for all gates together, which have none.
        """
        if self.account is None or coupling not in self.account.couplings:
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
            credit, last = self.credit(name)
            if np.isfinite(credit):
                entry |= {"shapley": credit, "last": last}
            if self.account is not None and name in self.account.couplings:
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
        return text_of(self)


def save_part(path: str | os.PathLike[str], part: Diagnosis | CutCurves) -> None:
    """Write a diagnosis or cut curves alone; see `Diagnosis.save`."""
    save_result(path, _FORMAT, part)


def load_part(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> Diagnosis | CutCurves:
    """Read what `save_part` wrote; errors as for `Diagnosis.load`."""
    types = {kind.__name__: kind for kind in _TYPES}
    part = load_result(path, _FORMAT, types, max_bytes)
    if not isinstance(part, (Diagnosis, CutCurves)):
        raise ValueError(f"{path} holds a {type(part).__name__}, not a diagnosis or cut curves")
    return part


_TYPES = (
    Diagnosis,
    AblationProfile,
    Coordinates,
    OrderedSchur,
    Variance,
    Weight,
    CutCurve,
    CutCurves,
    Atlas,
    Agreement,
    Removable,
    Shapley,
    Interactions,
    SubsetGame,
    Null,
    Account,
    Dose,
    Trajectories,
    TrialEffects,
)
