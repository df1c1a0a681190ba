"""Why a coupling is harmless, or needed: its mass, its activity, and what the outputs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, positive
from .._internal.frozen import ReadOnly
from ..ablation.batch import Batch
from ..ablation.evaluate import Evaluator
from ..ablation.plan import Ablation
from ..coordinates.forms import Cuts, Schurs
from ..coordinates.orders import Order
from ..coordinates.sectors import COUPLINGS
from ..networks.network import Network
from ..trials.trials import Trials
from .atlas import Atlas, atlas_of
from .exact import full_sums
from .moments import FACTORS, Moments, factors_of, moments_of
from .pairs import Pairs
from .question import MeasureLike, Question
from .runs import changes, mean_change
from .second_order import SecondOrder

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "Account", "account"]

_Float64 = npt.NDArray[np.float64]

KINDS = ("needed", "helps", "small", "silent", "unread", "compensated")
"""Verdicts on a pair, in the order in which they are decided."""


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
        denominator; z = Qᵀ r are the rates and δ the adjoints of random probes on the outputs, of
        the gate that the pair belongs to.
    effect : (pairs,)
        Loss when the pair is removed, as in the atlas.
    mass_share : dict
        Share of Σ ‖T_p‖² in each kind.
    couplings : tuple of str
        RR, CR, CC and BB; in a gated network of each gate, ``"n:CR"``.
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
        Share of the rates' variance in R and C; by gate, ``"n:R"``, in a gated network.
    components : (3, 2)
        Share in R and in C of each of the three leading principal components of the rates; in a
        gated network (gates, 3, 2).
    readout_share : dict
        Share of ‖W_hy‖² that reads R and C, as for `state_share`; of currents, where the readout
        reads them.
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
        for name, share in self.state_share.items():
            gate, _, sector = name.rpartition(":")
            if sector == "R":
                lines.append(
                    f"R{f' of {gate}' if gate else ''} holds {share:.0%} of the rates' variance "
                    f"and {self.readout_share[name]:.0%} of the readout"
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
    schur: Schurs | None = None,
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
    coordinates = question.coordinates
    pairs, cuts = Pairs.of(coordinates), coordinates.sectors(alpha)
    evaluator = question.evaluator()
    removed = [
        [np.where(cut.mask(name), D, 0.0) for name in COUPLINGS]
        for cut, (D, _) in zip(cuts.values(), pairs.entries, strict=True)
    ]
    moments = moments_of(evaluator, removed, question.probes)
    model = SecondOrder.of(evaluator, pairs, question.probes)
    total = evaluator.total
    isotropic = np.array([one.isotropic(total) for one in moments])
    potential = pairs.squares * isotropic[pairs.gate]
    # E‖D_p z‖² = tr(D_p C D_pᵀ), with C the second moment of z within a block.
    drives = []
    for schur, (D, _), one in zip(coordinates.schurs, pairs.entries, moments, strict=True):
        block = schur.block_of_row
        within = np.where(block[:, None] == block, one.second, 0.0)
        drives.append(D * (D @ within))
    adjoint_power = np.array([one.adjoint_power for one in moments])[pairs.gate]
    drive = pairs.total(drives) * adjoint_power / total
    reading, effect = model.quadratic, np.asarray(effects.effect)
    kind = _kinds(effect, potential, drive, reading, tolerance)
    names = [f"{gate}:{name}" if gate else name for gate in cuts for name in COUPLINGS]
    exact, mean_ablated = _ablated(evaluator, names, cuts, removed, moments)
    W_hy = question.network.W_hy.astype(np.float64)
    state: dict[str, float] = {}
    readout: dict[str, float] = {}
    components = []
    for (gate, cut), one in zip(cuts.items(), moments, strict=True):
        in_R = np.arange(cut.n_hidden) < cut.n_R
        state |= _shares(gate, np.diag(one.covariance), in_R)
        readout |= _shares(gate, np.square(W_hy @ cut.schur.Q).sum(axis=0), in_R)
        directions = np.linalg.eigh(one.covariance)[1][:, ::-1][:, :3]
        in_components = np.square(directions[in_R]).sum(axis=0)
        components.append(np.stack([in_components, 1 - in_components], axis=1))
    mass = pairs.squares.sum() or 1.0
    return Account(
        kind=kind,
        potential=potential,
        drive=drive,
        reading=reading,
        effect=effect,
        mass_share={name: float(pairs.squares[kind == name].sum() / mass) for name in KINDS},
        couplings=tuple(names),
        factors=factors_of(moments, total, exact),
        exact=exact,
        mean_ablated=mean_ablated,
        state_share=state,
        components=np.array(components) if coordinates.is_gated else components[0],
        readout_share=readout,
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


def _shares(gate: str, values: _Float64, in_R: npt.NDArray[np.bool_]) -> dict[str, float]:
    total = float(values.sum()) or 1.0
    prefix = f"{gate}:" if gate else ""
    return {
        f"{prefix}R": float(values[in_R].sum()) / total,
        f"{prefix}C": float(values[~in_R].sum()) / total,
    }


def _ablated(
    evaluator: Evaluator,
    names: Sequence[str],
    cuts: Cuts,
    removed: Sequence[Sequence[_Float64]],
    moments: Sequence[Moments],
) -> tuple[_Float64, _Float64]:
    """Losses without each coupling, and with its mean drive as a bias."""
    batch = Batch.of([Ablation.of(name, cuts) for name in names], tuple(cuts))
    full, network = full_sums(evaluator), evaluator.network
    biased = np.empty(len(batch))
    place = 0
    for cut, of_gate, one, gate in zip(cuts.values(), removed, moments, cuts, strict=True):
        for D in of_gate:
            drive = cut.schur.Q @ (D @ one.mean)
            other = evaluator.of_network(_with_drive(network, gate, drive))
            sums, _ = other.sums(batch.rows(place, place + 1))
            biased[place] = mean_change(evaluator, sums[0] - full)
            place += 1
    return changes(evaluator, batch), biased


def _with_drive(network: Network, gate: str, drive: _Float64) -> Network:
    """The network with a constant added to a gate's recurrent product."""
    if network.cell.reset == "after" and gate == "n":  # the product lies inside the reset
        b_hn = drive if network.b_hn is None else network.b_hn.astype(np.float64) + drive
        return replace(network, b_hn=b_hn.astype(network.dtype))
    b_h = network.biases[0].astype(np.float64)
    first = network.cell.gates.index(gate) * len(drive) if gate else 0
    b_h[first : first + len(drive)] += drive
    return replace(network, b_h=b_h.astype(network.dtype))
