"""Run the benchmarks: ``python -m benchmarks [NAME ...] [--quick]`` in the project's root."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from . import environment

if TYPE_CHECKING:
    from .timing import Comparison

ONE_THREAD = ("rollout", "atlas", "training", "gated", "tanh", "schur")
USUAL = (*ONE_THREAD, "diagnosis", "threads", "memory", "import", "conditioning", "reproduce")
ALL = (*USUAL, "networks")  # which takes as long as all the others


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; all but the last if none"
    )
    parser.add_argument("--quick", action="store_true", help="small and noisy: does it run?")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(ALL))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(ALL)}")
    names = options.names or USUAL
    environment.restart_if_needed()

    begin = time.perf_counter()
    from . import atlas, conditioning, diagnosis, importing, memory, networks, threads, whole
    from .timing import SUMMARY_HEADER, aligned, markdown

    about = aligned(environment.description())
    print(about, flush=True)
    repeats = 3 if options.quick else 7
    rows = []
    with environment.one_processor():
        for name in ONE_THREAD:
            if name in names:
                for comparison in _comparisons(name)(options.quick):
                    comparison.measure(repeats=repeats, least_seconds=0 if options.quick else 1)
                    if options.quick:
                        comparison.wanted = ""  # small sizes are not what it is about
                    print(comparison.details(), flush=True)
                    rows.append(comparison.summary())
    remarks = []
    if "atlas" in names:
        with environment.one_processor():
            remarks += atlas.lines(options.quick)
    if "diagnosis" in names:
        remarks += diagnosis.lines(options.quick)
    if "threads" in names:
        remarks += threads.lines(options.quick, repeats)
    if "memory" in names:
        remarks += memory.lines(options.quick)
    if "import" in names:
        remarks += importing.lines(options.quick)
    if "conditioning" in names:
        with environment.one_processor():
            remarks += conditioning.lines(options.quick)
    if "reproduce" in names:
        remarks += whole.lines(options.quick)
    if "networks" in names:
        remarks += networks.lines(options.quick)

    print(f"\n{about}\n")
    if rows:
        print(markdown(SUMMARY_HEADER, rows), end="\n\n")
    for remark in remarks:
        print(f"- {remark}")
    print(f"\n{time.perf_counter() - begin:.0f} s in all")


def _comparisons(name: str) -> Callable[[bool], Iterator[Comparison]]:
    from . import ablations, atlas, gated, ordering, tanh, training

    sections = {
        "rollout": ablations,
        "atlas": atlas,
        "training": training,
        "gated": gated,
        "tanh": tanh,
        "schur": ordering,
    }
    return sections[name].comparisons


if __name__ == "__main__":
    main()
