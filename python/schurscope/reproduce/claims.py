"""The paper's claims about couplings, and whether they survive a null and the choice of alpha."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ablation.measures import MEASURES
from ..diagnosis.verdicts import APART
from .diagnoses import ALPHAS, BLOCKS, TOLERANCE, Diagnosed
from .experiments import PAPER, TITLES, PaperValue

QUORUM = 0.75  # of the networks in which the coupling is not vacuous

CLAIM_RULE = (
    f"a task needs a coupling if the paper's loss without it exceeds {TOLERANCE:g}. A claim holds "
    "in a network if the interval over trials of the loss is above the tolerance (needed), or not "
    "(not needed). It survives its null where a needed coupling costs more, or an unneeded one "
    "less, than random pairs of N of the same mass (p ≤ 0.05 after Holm), and the choice of alpha "
    "where the loss is on the same side of the tolerance at every alpha of "
    f"{', '.join(f'{alpha:g}' for alpha in ALPHAS)}; each in at least {QUORUM:.0%} of the networks "
    "in which there is something to remove."
)


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and in how many networks it stands.

    Attributes
    ----------
    experiment, coupling : str
    is_needed : bool
        Whether the task needs the coupling, by the paper's value.
    paper : str
        The paper's value.
    networks, vacuous : int
        Networks in which there is something to remove, or nothing.
    holds, beats_null, at_every_alpha : int
        Numbers of networks, of the former.
    size_by_alpha : int
        Of CR: networks in which another cut within a quarter of the dimensions costs more than
        three times as much, so that alpha decides the size. 0 for other couplings.
    """

    experiment: str
    coupling: str
    is_needed: bool
    paper: str
    networks: int
    vacuous: int
    holds: int
    beats_null: int
    at_every_alpha: int
    size_by_alpha: int

    def stands(self, count: int) -> bool:
        """Whether this is a quorum of the networks."""
        return self.networks > 0 and count >= QUORUM * self.networks

    @property
    def survives(self) -> bool:
        """Whether it holds, beats its null and does not depend on alpha."""
        return all(map(self.stands, (self.holds, self.beats_null, self.at_every_alpha)))

    def __str__(self) -> str:
        need = "needs" if self.is_needed else "does not need"
        start = f"{TITLES[self.experiment]} {need} {self.coupling} (paper: {self.paper})"
        if not self.networks:
            return f"{start}: untested, nothing to remove in any network."
        parts = [
            f"{'holds' if self.stands(self.holds) else 'does NOT hold'} ({self._of(self.holds)})",
            f"{self._survives(self.beats_null)} its null ({self._of(self.beats_null)})",
            f"{self._survives(self.at_every_alpha)} the choice of alpha "
            f"({self._of(self.at_every_alpha)}"
            + (f"; its size does not in {self.size_by_alpha}" if self.size_by_alpha else "")
            + ")",
        ]
        vacuous = f"; vacuous in {self.vacuous}" if self.vacuous else ""
        return f"{start}: {', '.join(parts)}{vacuous}."

    def _of(self, count: int) -> str:
        return f"{count} of {self.networks}"

    def _survives(self, count: int) -> str:
        return "survives" if self.stands(count) else "does NOT survive"


def claims(diagnosed: Sequence[Diagnosed]) -> list[Claim]:
    """The claims about the experiments of these networks, each judged by its task's measure."""
    found = []
    for experiment in dict.fromkeys(one.experiment for one in diagnosed):
        mine = [one for one in diagnosed if one.experiment == experiment]
        mine = [one for one in mine if one.measure == mine[0].measure]
        for coupling in BLOCKS:
            published = _published(experiment, coupling)
            if published is not None:
                found.append(_claim(experiment, coupling, published, mine))
    return found


def _published(experiment: str, coupling: str) -> PaperValue | None:
    """The paper's value of a coupling by itself, from its figure."""
    for value in PAPER:
        is_effect = value.quantity in ("value", "change") and value.source.startswith("Figure")
        if (value.experiment, value.ablation) == (experiment, coupling) and is_effect:
            return value
    return None


def _claim(
    experiment: str, coupling: str, published: PaperValue, diagnosed: Sequence[Diagnosed]
) -> Claim:
    heading = MEASURES[diagnosed[0].measure].heading
    loss = published.mean
    if published.quantity == "value":
        full = _published(experiment, "full")
        assert full is not None
        loss = full.mean - published.mean
    is_needed = loss > TOLERANCE
    number = f"{published.mean:g}" if published.quantity == "value" else f"{published.mean:+g}"
    sign = "" if published.quantity == "value" else "Δ"
    known = [one for one in diagnosed if one.numbers[f"decision_{coupling}"] != "vacuous"]
    wanted = ("needed",) if is_needed else ("not needed", "a burden")
    return Claim(
        experiment=experiment,
        coupling=coupling,
        is_needed=is_needed,
        paper=published.words or f"{sign}{heading} {number}",
        networks=len(known),
        vacuous=len(diagnosed) - len(known),
        holds=sum(one.numbers[f"decision_{coupling}"] in wanted for one in known),
        beats_null=sum(one.beats_chance(coupling) is is_needed for one in known),
        at_every_alpha=sum(
            all((loss > TOLERANCE) == is_needed for loss in one.losses[coupling]) for one in known
        ),
        size_by_alpha=sum(
            one.numbers["CR_largest_near"] > max(APART * one.numbers["CR"], TOLERANCE)
            for one in known
        )
        if coupling == "CR"
        else 0,
    )
