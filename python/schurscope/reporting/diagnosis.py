"""Prints and saves a diagnosis, for the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress as Bar

from .._internal.files import atomic_path
from .._internal.json import write_json
from ..diagnosis.question import Progress
from ..diagnosis.result import Diagnosis

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A bar on standard error, for `diagnose`."""
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("diagnosing")

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield progress


def print_diagnosis(diagnosis: Diagnosis, gates: Sequence[str] = ()) -> None:
    """Print the page, warnings first and in colour, and last the verdicts on some gates."""
    console = Console(soft_wrap=True)
    every = zip(diagnosis.couplings, diagnosis.verdicts, strict=True)
    of_gates = [sentence for name, sentence in every if name.rpartition(":")[0] in gates]
    for line in [*str(diagnosis).splitlines(), *([""] if of_gates else []), *of_gates]:
        style = "bold yellow" if line.startswith("warning:") else None
        console.print(line, style=style, highlight=False, markup=False)


def _cuts(diagnosis: Diagnosis) -> pd.DataFrame:
    """The cut curve, or those of all gates one after the other."""
    import pandas as pd

    frames = []
    for gate, curve in diagnosis.curves.items():
        frame = curve.to_dataframe()
        if gate:
            frame.insert(0, "gate", gate)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def save_diagnosis(out: Path, diagnosis: Diagnosis, settings: Mapping[str, Any]) -> None:
    """Write the figure, the tables, the settings and the diagnosis into the folder `out`."""
    from ..plotting import save_figure

    save_figure(diagnosis.plot(), out / "page.png")
    frames = {"couplings": diagnosis.to_dataframe(), "pairs": diagnosis.atlas.to_dataframe()}
    if diagnosis.curves:
        frames["cuts"] = _cuts(diagnosis)
    for name, frame in frames.items():
        with atomic_path(out / f"{name}.csv") as path:
            frame.to_csv(path, index=False)
    profile = diagnosis.profile.settings
    write_json(
        out / "settings.json",
        {**settings, **profile, **diagnosis.settings, "warnings": diagnosis.warnings},
    )
    diagnosis.save(out / "diagnosis.npz")
