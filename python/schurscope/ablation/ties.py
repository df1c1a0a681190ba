"""Dependence of an ablation's result on the order of near-tied eigenvalues.

Zeroing T_CR does not depend on the order of the blocks inside R or C, but zeroing T_RR or T_CC
does, and networks near orthogonality have many almost equal moduli. The tie-breaking rule makes one
order the reference; here the same ablations run in other admissible orders.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import Rng, generator, nonnegative, positive_int
from .._internal.frozen import ReadOnly
from ..coordinates.schur import Order, OrderedSchur, order_named, ordered_schur
from ..coordinates.sectors import Sectors
from ..networks.gates import require_vanilla
from ..networks.network import Network
from ..trials.trials import Trials
from .evaluate import leak_of_order
from .measures import Measure
from .plan import Ablation
from .profile import AblationProfile
from .run import ablate

__all__ = ["TieSpread", "tie_spread"]

_Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class TieSpread(ReadOnly):
    """Results of ablations over random orders of near-tied blocks; ``print`` shows a table.

    Attributes
    ----------
    names : tuple of str
    reference : (ablations,)
        The measure in the order of the tie-breaking rule.
    value : (n_orders, ablations)
        The measure in each random order.
    clusters : tuple of tuple of int
        Blocks, by index in the reference order, that were shuffled among themselves.
    n_refused : (n_orders,)
        Swaps refused as unsafe on the way to each order.
    tolerance : float
        Neighbours whose keys are closer than ``tolerance`` times the largest are near ties.
    settings : dict
        Provenance, as for `AblationProfile`.
    """

    names: tuple[str, ...]
    reference: _Float64
    value: _Float64
    clusters: tuple[tuple[int, ...], ...]
    n_refused: npt.NDArray[np.int64]
    tolerance: float
    settings: Mapping[str, Any]

    @property
    def spread(self) -> _Float64:
        """Largest minus smallest value of each ablation, the reference included: (ablations,)."""
        every = np.vstack([self.reference, self.value])
        width: _Float64 = every.max(axis=0) - every.min(axis=0)
        return width

    @property
    def n_admissible(self) -> int:
        """Number of orders that the near ties allow."""
        return math.prod(math.factorial(len(cluster)) for cluster in self.clusters)

    def __repr__(self) -> str:
        return f"TieSpread(names={self.names}, orders={len(self.value)})"

    def __str__(self) -> str:
        sizes = ", ".join(str(len(cluster)) for cluster in self.clusters) or "none"
        count = self.n_admissible
        orders = f"{count}" if count < 10**6 else f"about 10^{math.log10(count):.0f}"
        lines = [
            f"{self.settings['measure']} over {len(self.value)} random orders out of {orders}; "
            f"alpha {self.settings['alpha']:g}",
            f"near ties ({self.settings['tie_rule']}): within {self.tolerance:g} of the largest; "
            f"blocks per cluster: {sizes}",
            f"{'ablation':<10}{'reference':>12}{'lowest':>12}{'median':>12}{'highest':>12}"
            f"{'spread':>12}",
        ]
        for place, name in enumerate(self.names):
            mine = self.value[:, place]
            shown = [self.reference[place], mine.min(), np.median(mine), mine.max()]
            cells = "".join(f"{number:>12.4g}" for number in [*shown, self.spread[place]])
            lines.append(f"{name:<10}{cells}")
        return "\n".join(lines)


def tie_spread(
    network: Network,
    trials: Trials,
    *,
    alpha: float = 0.9,
    ablations: Iterable[str] = ("RR", "CR", "CC"),
    measure: str | Measure = "fvu",
    order: Order = "modulus",
    tolerance: float = 1e-3,
    n_orders: int = 20,
    n_threads: int = 0,
    rng: Rng = 0,
) -> TieSpread:
    """Repeat ablations over random admissible orders of near-tied blocks.

    Neighbours in the reference order whose keys (moduli by default) differ by at most `tolerance`
    times the largest are chained into clusters; each order shuffles every cluster uniformly. No
    block crosses the cut between R and C.

    Parameters
    ----------
    network, trials, alpha, measure, order, n_threads
        As for :func:`schurscope.ablate`.
    ablations : iterable of str
        Names of couplings such as ``"RR"`` or ``"RR+CC"``.
    tolerance : float
        Relative to the largest modulus, at least 0.
    n_orders : int
        Number of random orders.
    rng : numpy.random.Generator, SeedSequence, int or None
        Source of the orders and of a cell's noise, which is the same for every order.

    Returns
    -------
    TieSpread

    Raises
    ------
    TypeError, ValueError
        As for :func:`schurscope.ablate`, and for the arguments above.
    """
    tolerance = nonnegative(tolerance, "tolerance")
    n_orders = positive_int(n_orders, "n_orders")
    random = generator(rng)
    if not isinstance(network, Network):
        raise TypeError(f"network must be a schurscope.Network, got {type(network).__name__}")
    require_vanilla(network.cell, "tie_spread")
    order = order_named(order)
    leak = leak_of_order(order, network.cell)
    schur = ordered_schur(network.W_hh.astype(np.float64), order, leak)
    sectors = schur.sectors(alpha)
    # The rectangles of the reference serve every order: no block leaves its sector.
    rows = [Ablation.of(name, sectors) for name in ablations]

    # A seed, so that every order sees the same noise.
    noise = int(random.integers(2**63)) if network.cell.noise > 0 else None

    def run(form: OrderedSchur) -> AblationProfile:
        return ablate(
            network,
            trials,
            alpha=alpha,
            ablations=rows,
            measure=measure,
            n_threads=n_threads,
            schur=form,
            rng=noise,
        )

    profile = run(schur)
    asked = [profile.names.index(row.name) for row in rows]
    clusters = _clusters(schur, sectors, tolerance)
    value = np.empty((n_orders, len(rows)))
    n_refused = np.zeros(n_orders, dtype=np.int64)
    for trial in range(n_orders):
        places = np.arange(len(schur.starts), dtype=np.int64)
        for cluster in clusters:
            places[list(cluster)] = random.permutation(cluster)
        form = schur.reordered(places)
        n_refused[trial] = len(form.refused)
        value[trial] = run(form).value[asked]
    settings = {
        **profile.settings,
        "tolerance": tolerance,
        "n_orders": n_orders,
        "level": _core.LEVEL,
    }
    return TieSpread(
        names=tuple(row.name for row in rows),
        reference=profile.value[asked],
        value=value,
        clusters=clusters,
        n_refused=n_refused,
        tolerance=tolerance,
        settings=settings,
    )


def _clusters(
    schur: OrderedSchur, sectors: Sectors, tolerance: float
) -> tuple[tuple[int, ...], ...]:
    """Indices of chained near ties, two or more each, on one side of the cut."""
    starts = schur.starts
    keys = schur.keys
    in_R = starts < sectors.n_R
    near = np.diff(-keys[starts]) <= tolerance * np.abs(keys).max()
    chained = near & (in_R[1:] == in_R[:-1])
    groups = np.split(np.arange(len(starts)), np.flatnonzero(~chained) + 1)
    return tuple(tuple(int(place) for place in group) for group in groups if len(group) > 1)
