"""Why a coupling is harmless, or needed: its mass, its activity, and what the outputs read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, positive
from .._internal.frozen import ReadOnly
from ..ablation.batch import Batch
from ..ablation.evaluate import Evaluator
from ..ablation.plan import Ablation
from ..coordinates.schur import Order, OrderedSchur
from ..coordinates.sectors import COUPLINGS, Sectors
from ..networks.network import Network
from ..trials.trials import Trials
from .atlas import Atlas, atlas_of
from .exact import full_sums
from .pairs import Pairs
from .question import MeasureLike, Question
from .runs import changes, mean_change
from .second_order import SecondOrder, probes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "Account", "account"]

_Float64 = npt.NDArray[np.float64]

KINDS = ("needed", "helps", "small", "silent", "unread", "compensated")
"""Verdicts on a pair, in the order in which they are decided."""

FACTORS = ("mass", "activity", "reading", "coherence", "response")


@dataclass(frozen=True, eq=False, repr=False)
class Account(ReadOnly):
    """Why each pair and each coupling matters or does not; made by `schurscope.account`.

    With tolerance τ, a pair is *needed* if its removal raises the loss by τ or more, and it *helps*
    (its removal does) if that lowers the loss by τ or more. Else it is *small* if its mass, at mean
    state and adjoint power, could not reach τ; *silent* if its actual drive ``T_p z`` could not;
    *unread* if what the outputs read of that drive does not; and *compensated* if the rest of the
    network makes up for what they read.

    Attributes
    ----------
    kind : (pairs,) of str
        One of `KINDS`.
    potential, drive, reading : (pairs,)
        The three nested predictions of the loss: ``‖T_p‖² ⟨z²⟩ ⟨δ²⟩``, ``E‖T_p z‖² ⟨δ²⟩`` and the
        quadratic part of the second-order model, summed over trials and steps, over the measure's
        denominator; z = Qᵀ r are the rates and δ the adjoints of random probes on the outputs.
    effect : (pairs,)
        Loss when the pair is removed, as in the atlas.
    mass_share : dict
        Share of Σ ‖T_p‖² in each kind.
    couplings : tuple of str
    factors : (couplings, 5)
        Columns: ``mass``, the potential of the coupling; ``activity``, drive over potential;
        ``reading``, what the outputs read at single steps over drive; ``coherence``, what they read
        of whole trials over that; ``response``, the exact loss over the last. Their product is the
        exact loss.
    exact : (couplings,)
        Loss when the coupling is removed.
    mean_ablated : (couplings,)
        The same when the coupling's mean drive stays as a bias.
    state_share : dict
        Share of the rates' variance in R and C.
    components : (3, 2)
        Share in R and in C of each of the three leading principal components of the rates.
    readout_share : dict
        Share of ‖W_hy‖² that reads R and C; of currents, where the readout reads them.
    settings : dict
    """

    kind: npt.NDArray[np.str_]
    potential: _Float64
    drive: _Float64
    reading: _Float64
    effect: _Float64
    mass_share: Mapping[str, float]
    couplings: tuple[str, ...]
    factors: _Float64
    exact: _Float64
    mean_ablated: _Float64
    state_share: Mapping[str, float]
    components: _Float64
    readout_share: Mapping[str, float]
    settings: Mapping[str, Any]

    def to_dataframe(self) -> pd.DataFrame:
        """One row per coupling; ``attrs`` holds the settings. Needs pandas."""
        import pandas as pd

        frame = pd.DataFrame(self.factors, columns=list(FACTORS))
        frame.insert(0, "coupling", self.couplings)
        frame["exact"], frame["mean_ablated"] = self.exact, self.mean_ablated
        frame.attrs.update(self.settings)
        return frame

    def __repr__(self) -> str:
        return f"Account(pairs={len(self.kind)}, tolerance={self.settings['tolerance']:g})"

    def __str__(self) -> str:
        shares = ", ".join(f"{share:.0%} {kind}" for kind, share in self.mass_share.items())
        heading = "".join(f"{name:>11}" for name in (*FACTORS, "exact", "mean abl."))
        lines = [f"mass by pair at tolerance {self.settings['tolerance']:g}: {shares}"]
        lines.append(f"{'coupling':<10}{heading}")
        for name, factors, exact, mean in zip(
            self.couplings, self.factors, self.exact, self.mean_ablated, strict=True
        ):
            cells = "".join(f"{value:>11.3g}" for value in (*factors, exact, mean))
            lines.append(f"{name:<10}{cells}")
        lines.append(
            f"R holds {self.state_share['R']:.0%} of the rates' variance and "
            f"{self.readout_share['R']:.0%} of the readout"
        )
        return "\n".join(lines)


def account(
    network: Network,
    trials: Trials,
    *,
    tolerance: float = 1e-3,
    alpha: float = 0.9,
    measure: MeasureLike = "fvu",
    order: Order | None = None,
    schur: OrderedSchur | None = None,
    rng: Rng = 0,
    n_threads: int = 0,
) -> Account:
    """Explain the effect of each pair of blocks and of each coupling.

    Parameters
    ----------
    network, trials, alpha, measure, order, schur, n_threads
        As for `ablate`. A measure without a second derivative is explained by its surrogate.
    tolerance : float
        Effects below it are harmless.
    rng : numpy.random.Generator, SeedSequence or int

    Raises
    ------
    TypeError, ValueError
        As for `atlas`.
    """
    tolerance = positive(tolerance, "tolerance")
    question = Question(network, trials, measure, order, schur, rng, n_threads)
    question = question.smoothed()
    return account_of(question, atlas_of(question, "auto", alpha, None), alpha, tolerance)


def account_of(question: Question, effects: Atlas, alpha: float, tolerance: float) -> Account:
    """The account of a question whose measure has a second derivative; see `account`."""
    pairs, sectors = Pairs.of(question.schur), question.schur.sectors(alpha)
    evaluator = question.evaluator()
    moments = _Moments.of(evaluator, pairs, sectors, question)
    model = SecondOrder.of(evaluator, pairs, question.probes)
    isotropic = moments.count * moments.state_power * moments.adjoint_power / evaluator.total
    potential = pairs.squares * isotropic
    # E‖D_p z‖² = tr(D_p C D_pᵀ), with C the second moment of z within a block.
    block = pairs.schur.block_of_row
    within = np.where(block[:, None] == block, moments.second, 0.0)
    drive = pairs.total(pairs.D * (pairs.D @ within)) * moments.adjoint_power / evaluator.total
    reading, effect = model.quadratic, np.asarray(effects.effect)
    kind = _kinds(effect, potential, drive, reading, tolerance)
    total = pairs.squares.sum() or 1.0
    in_R = np.arange(len(block)) < sectors.n_R
    variance = np.diag(moments.covariance)
    readout = np.square(question.network.W_hy.astype(np.float64) @ pairs.schur.Q).sum(axis=0)
    directions = np.linalg.eigh(moments.covariance)[1][:, ::-1][:, :3]
    in_components = np.square(directions[in_R]).sum(axis=0)
    return Account(
        kind=kind,
        potential=potential,
        drive=drive,
        reading=reading,
        effect=effect,
        mass_share={name: float(pairs.squares[kind == name].sum() / total) for name in KINDS},
        couplings=COUPLINGS,
        factors=moments.factors(evaluator.total, isotropic),
        exact=moments.exact,
        mean_ablated=moments.mean_ablated,
        state_share=_shares(variance, in_R),
        components=np.stack([in_components, 1 - in_components], axis=1),
        readout_share=_shares(readout, in_R),
        settings={
            "measure": evaluator.measure.name,
            "alpha": alpha,
            "tolerance": tolerance,
            "n_trials": evaluator.n_trials,
        },
    )


def _kinds(
    effect: _Float64, potential: _Float64, drive: _Float64, reading: _Float64, tolerance: float
) -> npt.NDArray[np.str_]:
    conditions = [
        effect >= tolerance,
        effect <= -tolerance,
        potential < tolerance,
        drive < tolerance,
        reading < tolerance,
    ]
    return np.select(conditions, KINDS[:-1], KINDS[-1])


def _shares(values: _Float64, in_R: npt.NDArray[np.bool_]) -> dict[str, float]:
    total = float(values.sum()) or 1.0
    return {"R": float(values[in_R].sum()) / total, "C": float(values[~in_R].sum()) / total}


@dataclass(frozen=True, eq=False)
class _Moments:
    """Moments of rates and adjoints over trials and steps, and of the couplings' drives.

    Attributes
    ----------
    count : int
        Trials times steps.
    state_power, adjoint_power : float
        ⟨z²⟩ and ⟨δ²⟩, means over trials, steps and dimensions.
    second : (N_h, N_h)
        Σ z zᵀ over trials and steps.
    covariance : (N_h, N_h)
        Of the rates in Schur coordinates.
    squares, drive, incoherent, coherent : (couplings,)
        ‖D_g‖², Σ ‖D_g z‖², Σ (δᵀ D_g z)² over trials and steps, and Σ over trials of the square of
        the sum over steps.
    exact, mean_ablated : (couplings,)
    """

    count: int
    state_power: float
    adjoint_power: float
    second: _Float64
    covariance: _Float64
    squares: _Float64
    drive: _Float64
    incoherent: _Float64
    coherent: _Float64
    exact: _Float64
    mean_ablated: _Float64

    @classmethod
    def of(
        cls, evaluator: Evaluator, pairs: Pairs, sectors: Sectors, question: Question
    ) -> _Moments:
        Q, n_hidden = pairs.schur.Q, pairs.schur.n_hidden
        removed = [np.where(sectors.mask(name), pairs.D, 0.0) for name in COUPLINGS]
        second, first = np.zeros((n_hidden, n_hidden)), np.zeros(n_hidden)
        adjoint = 0.0
        drive, incoherent, coherent = np.zeros((3, len(COUPLINGS)))
        for part in probes(evaluator, question.probes):
            rates, deltas = evaluator.adjoints(part.signs[0], part.first)
            z, d = (values.astype(np.float64) @ Q for values in (rates, deltas))
            steps = z.reshape(-1, n_hidden)
            second += steps.T @ steps
            first += steps.sum(axis=0)
            adjoint += float(np.square(d).sum())
            for place, D in enumerate(removed):
                driven = z @ D.T
                read = (d * driven).sum(axis=2)
                drive[place] += np.square(driven).sum()
                incoherent[place] += np.square(read).sum()
                coherent[place] += np.square(read.sum(axis=1)).sum()
        count = evaluator.n_trials * evaluator.trials.n_steps
        mean = first / count
        exact, mean_ablated = _ablated(evaluator, pairs, sectors, [D @ mean for D in removed])
        return cls(
            count,
            float(np.trace(second)) / (count * n_hidden),
            adjoint / (count * n_hidden),
            second,
            second / count - np.outer(mean, mean),
            np.array([np.square(D).sum() for D in removed]),
            drive,
            incoherent,
            coherent,
            exact,
            mean_ablated,
        )

    def factors(self, total: float, isotropic: float) -> _Float64:
        """The factors of each coupling: (couplings, 5)."""
        levels = np.stack(
            [
                self.squares * isotropic,
                self.drive * self.adjoint_power / total,
                self.incoherent / total,
                self.coherent / total,
                self.exact,
            ],
            axis=1,
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = levels[:, 1:] / levels[:, :-1]
        return np.concatenate([levels[:, :1], ratios], axis=1)


def _ablated(
    evaluator: Evaluator, pairs: Pairs, sectors: Sectors, mean_drives: list[_Float64]
) -> tuple[_Float64, _Float64]:
    """Losses without each coupling, and with its mean drive as a bias."""
    batch = Batch.of([Ablation.of(name, sectors) for name in COUPLINGS])
    full, network = full_sums(evaluator), evaluator.network
    biased = np.empty(len(batch))
    for place, drive in enumerate(mean_drives):
        b_h = network.biases[0].astype(np.float64) + pairs.schur.Q @ drive
        other = evaluator.of_network(replace(network, b_h=b_h.astype(network.dtype)))
        sums, _ = other.sums(batch.rows(place, place + 1))
        biased[place] = mean_change(evaluator, sums[0] - full)
    return changes(evaluator, batch), biased
