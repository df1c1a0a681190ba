"""Contenders, timed in turn, and the tables of their times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

# Whose, how, and the function to time: what the files of the peers return.
Entry = tuple[str, str, Callable[[], Any]]

OURS = "schurscope"
GEMM = "GEMM"
RNN = "torch.nn"


@dataclass(frozen=True)
class Contender:
    """One way to do the work: whose, how, and how to check and time it."""

    owner: str
    how: str
    run: Callable[[], Any]
    check: Callable[[Any], None]
    """Raises if what `run` returned is wrong."""
    amount: float
    """How much work one run is, in the unit of the comparison; contenders may differ in it."""


@dataclass(frozen=True)
class Unit:
    """What is shown: work per second (a rate), or seconds per work."""

    name: str
    scale: float = 1.0
    is_rate: bool = False

    def of(self, seconds: float, amount: float) -> float:
        return self.scale * (amount / seconds if self.is_rate else seconds / amount)


GFLOPS = Unit("GFLOP/s", is_rate=True)
MS = Unit("ms", 1e3)
MS_PER_STEP = Unit("ms per step", 1e3)
NS_PER_NUMBER = Unit("ns per number", 1e9)


@dataclass
class Comparison:
    """One line of the summary: contenders at the same work, ours first."""

    title: str
    unit: Unit
    contenders: Sequence[Contender]
    wanted: str = ""
    seconds: list[list[float]] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """Processor seconds of each contender, all threads together."""

    def measure(self, *, repeats: int, least_seconds: float) -> Comparison:
        """Check every answer, then time all contenders in turn, round after round."""
        for contender in self.contenders:
            contender.check(contender.run())
        self.seconds = [[] for _ in self.contenders]
        self.busy = [0.0] * len(self.contenders)
        started = time.perf_counter()
        while True:
            for i, contender in enumerate(self.contenders):
                used, begin = time.process_time(), time.perf_counter()
                contender.run()
                self.seconds[i].append(time.perf_counter() - begin)
                self.busy[i] += time.process_time() - used
            rounds = len(self.seconds[0])
            enough = time.perf_counter() - started > least_seconds or rounds >= 5 * repeats
            if rounds >= repeats and enough:
                return self

    def cost(self, index: int) -> float:
        """Median seconds per amount of work."""
        return statistics.median(self.seconds[index]) / self.contenders[index].amount

    def best(self, owner: str) -> int | None:
        """Index of the owner's fastest configuration."""
        of_owner = [i for i, c in enumerate(self.contenders) if c.owner == owner]
        return min(of_owner, key=self.cost, default=None)

    def value(self, index: int) -> float:
        return self.unit.of(self.cost(index), 1.0)

    def advantage(self, index: int) -> float:
        """How many times as fast as this contender ours is."""
        return self.cost(index) / self.cost(0)

    def processors(self, index: int) -> float:
        """How many processors this contender had on average; less than its threads: disturbed."""
        return self.busy[index] / sum(self.seconds[index])

    def details(self) -> str:
        """All contenders, with the slowest and the fastest of their runs."""
        rows = [("", "", self.unit.name, "from – to", "runs", "processors", "ours is")]
        for i, (contender, times) in enumerate(zip(self.contenders, self.seconds, strict=True)):
            ends = sorted(self.unit.of(t, contender.amount) for t in (min(times), max(times)))
            rows.append(
                (
                    contender.owner,
                    contender.how,
                    f"{self.value(i):.3g}",
                    f"{ends[0]:.3g} – {ends[1]:.3g}",
                    str(len(times)),
                    f"{self.processors(i):.2f}",
                    f"{self.advantage(i):.2f} ×" if i > 0 else "",
                )
            )
        return f"\n{self.title}\n{aligned(rows)}"

    def summary(self) -> tuple[str, ...]:
        """Title, ours, share of the large matrix product, each peer at its best, what is wanted."""
        gemm = self.best(GEMM)
        cells = [self.title, f"{self.value(0):.3g} {self.unit.name}"]
        cells.append("" if gemm is None else f"{self.advantage(gemm):.2f}")
        for group in (("NumPy", "SciPy"), (RNN,), ("PyTorch",), ("JAX",)):
            indices = [i for i in map(self.best, group) if i is not None]
            cells.append(
                f"{self.value(indices[0]):.3g} (**{self.advantage(indices[0]):.2f} ×**)"
                if indices
                else ""
            )
        return (*cells, self.wanted)


SUMMARY_HEADER = (
    "work",
    "schurscope",
    "of GEMM",
    "NumPy, SciPy",
    "torch.nn",
    "PyTorch otherwise",
    "JAX",
    "wanted",
)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a README."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
