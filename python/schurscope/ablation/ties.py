"""Dependence of an ablation's result on the order of near-tied eigenvalues.

Zeroing T_CR does not depend on the order of the blocks inside R or C, but zeroing T_RR or T_CC
does, and networks near orthogonality have many almost equal moduli. The tie-breaking rule makes one
order the reference; here the same ablations run in other admissible orders.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import Rng, generator, nonnegative, positive_int
from .._internal.frozen import ReadOnly
from ..coordinates.forms import Coordinates, by_gate
from ..coordinates.orders import Order
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import Sectors
from ..networks.network import Network
from ..trials.trials import Trials
from .measures import Measure
from .plan import Ablation
from .profile import AblationProfile
from .run import ablate

__all__ = ["TieSpread", "tie_spread"]

_Float64 = npt.NDArray[np.float64]
Clusters: TypeAlias = tuple[tuple[int, ...], ...]


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
    clusters : tuple of tuple of int, or dict of them by gate
        Blocks, by index in the reference order, that were shuffled among themselves.
    n_refused : (n_orders,)
        Swaps refused as unsafe on the way to each order, in all gates.
    tolerance : float
        Neighbours whose keys are closer than ``tolerance`` times the largest are near ties.
    settings : dict
        Provenance, as for `AblationProfile`.
    """

    names: tuple[str, ...]
    reference: _Float64
    value: _Float64
    clusters: Clusters | Mapping[str, Clusters]
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
        sizes = [len(cluster) for of_gate in self._by_gate.values() for cluster in of_gate]
        return math.prod(map(math.factorial, sizes))

    @property
    def _by_gate(self) -> Mapping[str, Clusters]:
        return self.clusters if isinstance(self.clusters, Mapping) else {"": self.clusters}

    def __repr__(self) -> str:
        return f"TieSpread(names={self.names}, orders={len(self.value)})"

    def __str__(self) -> str:
        sizes = "; ".join(
            f"{gate} " * bool(gate) + (", ".join(str(len(one)) for one in clusters) or "none")
            for gate, clusters in self._by_gate.items()
        )
        width = max(10, 1 + max(map(len, self.names)))
        count = self.n_admissible
        orders = f"{count}" if count < 10**6 else f"about 10^{math.log10(count):.0f}"
        lines = [
            f"{self.settings['measure']} over {len(self.value)} random orders out of {orders}; "
            f"alpha {self.settings['alpha']:g}",
            f"near ties ({self.settings['tie_rule']}): within {self.tolerance:g} of the largest; "
            f"blocks per cluster: {sizes}",
            f"{'ablation':<{width}}{'reference':>12}{'lowest':>12}{'median':>12}{'highest':>12}"
            f"{'spread':>12}",
        ]
        for place, name in enumerate(self.names):
            mine = self.value[:, place]
            shown = [self.reference[place], mine.min(), np.median(mine), mine.max()]
            cells = "".join(f"{number:>12.4g}" for number in [*shown, self.spread[place]])
            lines.append(f"{name:<{width}}{cells}")
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
        Names of couplings such as ``"RR"`` or ``"RR+CC"``, ``"n:RR"`` in a gated network.
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
    coordinates = Coordinates.of(network, None, order)
    cuts = coordinates.sectors(alpha)
    # The rectangles of the reference serve every order: no block leaves its sector.
    rows = [Ablation.of(name, cuts) for name in ablations]

    # A seed, so that every order sees the same noise.
    noise = int(random.integers(2**63)) if network.cell.noise > 0 else None

    def run(forms: Sequence[OrderedSchur]) -> AblationProfile:
        return ablate(
            network,
            trials,
            alpha=alpha,
            ablations=rows,
            measure=measure,
            n_threads=n_threads,
            schur=Coordinates(coordinates.gates, tuple(forms)).argument,
            rng=noise,
        )

    profile = run(coordinates.schurs)
    asked = [profile.names.index(row.name) for row in rows]
    clusters = by_gate(cuts, lambda cut: _clusters(cut, tolerance))
    chained = list(clusters.values()) if isinstance(clusters, dict) else [clusters]
    value = np.empty((n_orders, len(rows)))
    n_refused = np.zeros(n_orders, dtype=np.int64)
    for trial in range(n_orders):
        forms = []
        for schur, of_gate in zip(coordinates.schurs, chained, strict=True):
            places = np.arange(len(schur.starts), dtype=np.int64)
            for cluster in of_gate:
                places[list(cluster)] = random.permutation(cluster)
            forms.append(schur.reordered(places))
        n_refused[trial] = sum(len(form.refused) for form in forms)
        value[trial] = run(forms).value[asked]
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


def _clusters(sectors: Sectors, tolerance: float) -> Clusters:
    """Indices of chained near ties, two or more each, on one side of the cut."""
    starts = sectors.starts
    keys = sectors.schur.keys
    in_R = starts < sectors.n_R
    near = np.diff(-keys[starts]) <= tolerance * np.abs(keys).max()
    chained = near & (in_R[1:] == in_R[:-1])
    groups = np.split(np.arange(len(starts)), np.flatnonzero(~chained) + 1)
    return tuple(tuple(int(place) for place in group) for group in groups if len(group) > 1)
