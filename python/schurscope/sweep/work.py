"""The work of one job: train a network, ablate it, write its files, return its index entry."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from .. import _core
from .._internal.brief import Brief
from .._internal.files import save_npz
from .._internal.json import plain
from .._version import __version__
from ..ablation.measures import measure_named
from ..ablation.measures.denominators import denominator_arrays, denominator_of
from ..ablation.profile import AblationProfile
from ..ablation.run import ablate
from ..coordinates.forms import Coordinates
from ..diagnosis.cuts import CutCurves, cut_curves_of
from ..diagnosis.diagnose import diagnose
from ..diagnosis.result import Diagnosis, load_part, save_part
from ..networks.constructions import init_network
from ..networks.network import Network
from ..training import train
from .plan import Job
from .store.index import Entry
from .store.store import RECORD_FORMAT, Store, StoreError

__all__ = ["JobResult", "load_result", "place_of_work", "run_batch"]

_ROWS = ("value", "change", "removed_mass", "sensitivity", "vacuous", "diverged")


@dataclass(frozen=True, eq=False, repr=False)
class JobResult(Brief):
    """The full result of a finished job.

    Attributes
    ----------
    network : Network
        The trained network.
    profiles : tuple of AblationProfile
        One per cut, in the sweep's order, with the per-trial sums that intervals over trials
        need.
    loss : (updates,) float64
        Loss of every batch, before its step.
    moduli : (N_h,) float64
        Moduli of the eigenvalues of W_hh, in the order of the Schur form; (gates, N_h) of a gated
        network.
    diagnosis : Diagnosis, CutCurves or None
        What the sweep asks for.
    provenance : dict
        Configuration, versions, commit, CPU, instruction-set level, host, seconds, entropy.
    """

    network: Network
    profiles: tuple[AblationProfile, ...]
    loss: npt.NDArray[np.float64]
    moduli: npt.NDArray[np.float64]
    diagnosis: Diagnosis | CutCurves | None
    provenance: dict[str, Any]


def run_batch(jobs: Sequence[Job], root: Path) -> list[Entry | None]:
    """Run jobs in turn; returns the entry of each, None if it failed (its error is recorded).

    Raises
    ------
    StoreError
        The instruction-set level differs from the store's, or the store is not writable. Earlier
        jobs of the batch are kept.
    """
    store = Store(root)
    if store.level != _core.LEVEL:
        raise StoreError(
            f"{root} holds networks trained on the instruction-set level {store.level}, but on "
            f"{socket.gethostname()} this is {_core.LEVEL}: set SCHURSCOPE_SIMD={store.level} there"
        )
    return [_run_recorded(job, store) for job in jobs]


def load_result(store: Store, key: str) -> JobResult:
    """Read a finished job.

    Raises
    ------
    OSError
        One of its files cannot be read.
    ValueError
        One of its files is damaged.
    """
    arrays, provenance = store.read_record(key)
    network = Network.load(store.network_path(key))
    coordinates = Coordinates.of(network, None, None)
    setting = provenance["configuration"]["setting"]
    definition = measure_named(setting["measure"])
    denominator = denominator_of(arrays)
    profiles = []
    for place, written in enumerate(provenance["settings"]):
        gaps = arrays["cuts"][place, ..., 1]  # which may be infinite
        by_gate = dict(zip(coordinates.gates, np.ravel(gaps).tolist(), strict=True))
        settings = {**written, "gap": by_gate if coordinates.is_gated else by_gate[""]}
        columns = dict(zip(_ROWS, arrays["rows"][place].T, strict=True))
        flags = {name: columns.pop(name).astype(np.bool_) for name in ("vacuous", "diverged")}
        profiles.append(
            AblationProfile(
                names=tuple(setting["ablations"]),
                **columns,
                **flags,
                per_trial=arrays["per_trial"][place],
                per_step=arrays["per_step"][place],
                definition=definition,
                alpha=settings["alpha"],
                coordinates=coordinates,
                gate_masses=_gate_masses(arrays, place, setting["ablations"], coordinates),
                settings=settings,
                denominator=denominator,
                chance=provenance["chance"],
            )
        )
    diagnosis = load_part(store.diagnosis_path(key)) if setting.get("diagnose") else None
    return JobResult(
        network, tuple(profiles), arrays["loss"], arrays["moduli"], diagnosis, provenance
    )


def _run_recorded(job: Job, store: Store) -> Entry | None:
    try:
        return _run(job, store)
    except StoreError:
        raise
    except Exception as error:
        try:
            store.fail(job, f"{type(error).__name__}: {error}", traceback.format_exc())
        except OSError as unwritable:
            raise StoreError(f"{store.root} cannot be written to: {unwritable}") from error
        return None


def _run(job: Job, store: Store) -> Entry:
    setting, streams, entropy = job.setting, job.streams(), job.entropy()
    started = time.perf_counter()
    network = init_network(
        setting.task,
        job.n_hidden,
        job.recurrent,
        streams["init"],
        dtype=setting.dtype,
        cell=setting.cell,
    )
    result = train(network, setting.task, **vars(setting.training), rng=streams["training"])
    trained = time.perf_counter()

    coordinates = Coordinates.of(result.network, None, None)
    schur = coordinates.argument
    trials = setting.evaluation.trials(
        setting.evaluation_trials, streams["evaluation"], dtype=setting.dtype
    )
    profiles = [
        ablate(
            result.network,
            trials,
            alpha=alpha,
            ablations=setting.ablations,
            measure=setting.measure,
            n_threads=1,
            schur=schur,
            # The same noise at every cut.
            rng=job.streams()["noise"] if setting.cell.noise else None,
        )
        for alpha in setting.alphas
    ]
    seconds = {"train": trained - started, "ablate": time.perf_counter() - trained}
    diagnosis: Diagnosis | CutCurves | None = None
    if setting.diagnose:
        ablated = time.perf_counter()
        common: dict[str, Any] = {
            "measure": setting.measure,
            "rng": streams["diagnosis"],
            "n_threads": 1,
        }
        if setting.diagnose == "cuts":
            curves = cut_curves_of(result.network, trials, coordinates, **common)
            diagnosis = CutCurves(curves)
        else:
            diagnosis = diagnose(
                result.network, trials, alpha=setting.alphas[0], schur=schur, **common
            )
        seconds["diagnose"] = time.perf_counter() - ablated
    arrays = {
        "rows": np.array([np.stack([getattr(p, x) for x in _ROWS], axis=-1) for p in profiles]),
        "cuts": np.array([_cuts(p) for p in profiles]),
        "loss": result.loss,
        "moduli": _moduli(coordinates),
        "per_trial": np.array([p.per_trial for p in profiles]),
        "per_step": np.array([p.per_step for p in profiles]),
        **_masses(profiles),
        **denominator_arrays(profiles[0].denominator),
    }
    provenance = {
        "key": job.key,
        "configuration": job.configuration(),
        "entropy": {"root": entropy.entropy, "spawn_key": entropy.spawn_key},
        "settings": [plain(profile.settings) for profile in profiles],
        "chance": profiles[0].chance,
        "seconds": seconds,
        "finished": time.time(),
        **place_of_work(),
    }
    return _save(job.key, store, result.network, diagnosis, arrays, provenance)


def _cuts(profile: AblationProfile) -> npt.NDArray[np.float64]:
    """n_R and gap, (2,), or of each gate: (gates, 2)."""
    found = np.array([(cut.n_R, cut.gap) for cut in profile.cuts.values()], dtype=np.float64)
    return found if profile.gates else found[0]


def _moduli(coordinates: Coordinates) -> npt.NDArray[np.float64]:
    found = np.array([schur.moduli for schur in coordinates.schurs])
    return found if coordinates.is_gated else found[0]


def _masses(profiles: Sequence[AblationProfile]) -> dict[str, npt.NDArray[np.float64]]:
    """The masses of each gate, (alphas, gates, ablations); none for the vanilla cell."""
    if not profiles[0].gates:
        return {}
    return {"gate_masses": np.array([list(p.gate_masses.values()) for p in profiles])}


def _gate_masses(
    arrays: Mapping[str, npt.NDArray[Any]],
    place: int,
    names: Sequence[str],
    coordinates: Coordinates,
) -> dict[str, npt.NDArray[np.float64]]:
    """`AblationProfile.gate_masses`; the vanilla cell's are those of the rows."""
    if coordinates.is_gated:
        return dict(zip(coordinates.gates, arrays["gate_masses"][place], strict=True))
    mass = arrays["rows"][place][:, _ROWS.index("removed_mass")]
    return {"": np.where(np.array(names) == "full", np.nan, mass)}


def _save(
    key: str,
    store: Store,
    network: Network,
    diagnosis: Diagnosis | CutCurves | None,
    arrays: dict[str, npt.NDArray[Any]],
    provenance: dict[str, Any],
) -> Entry:
    """Write the network and any diagnosis, then the record, which marks the job as done."""
    files = [store.record_path(key), store.network_path(key)]
    text = json.dumps(provenance, allow_nan=False).encode()
    try:
        files[0].parent.mkdir(exist_ok=True)
        network.save(files[1])
        if diagnosis is not None:
            files.append(store.diagnosis_path(key))
            save_part(files[2], diagnosis)
        save_npz(files[0], RECORD_FORMAT, {**arrays, "provenance": np.array(text)})
        return Entry.of_record(arrays, provenance, *files)
    except OSError as error:
        raise StoreError(f"{store.root} cannot be written to: {error}") from error


@lru_cache(maxsize=1)
def place_of_work() -> dict[str, Any]:
    """Provenance of this process, the same for all of its jobs."""
    return {
        "versions": {
            "schurscope": __version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "python": platform.python_version(),
        },
        "commit": _commit(),
        "level": _core.LEVEL,
        "threads": 1,
        "cpu": _cpu_model(),
        "host": socket.gethostname(),
    }


def _commit() -> str:
    """The commit that the package was installed from or runs in; empty if unknown."""
    installed = distribution("schurscope").read_text("direct_url.json")
    if installed is not None:
        commit = json.loads(installed).get("vcs_info", {}).get("commit_id")
        if commit:
            return str(commit)
    folder = Path(__file__).parent
    try:
        # A folder that merely lies inside another project's repository is not tracked there.
        for command in (["ls-files", "--error-unmatch", __file__], ["rev-parse", "HEAD"]):
            answer = subprocess.run(
                ["git", "-C", os.fspath(folder), *command],
                capture_output=True,
                check=True,
                text=True,
            )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()
