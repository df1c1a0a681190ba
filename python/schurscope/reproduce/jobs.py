"""One job: train a network, take it apart, leave a record that a later run can trust.

A job is known by the hash of its whole configuration and the package's version. Its record, a JSON
file written last, carries the hashes of the files it stands for and of itself: a record that is
missing, of another configuration, or whose files changed is not used, and the job is done again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._internal.files import atomic_path
from .._internal.json import plain, write_json
from .._version import __version__
from ..ablation.measures import Measure, measure_named
from ..ablation.profile import AblationProfile
from ..ablation.run import ablate
from ..coordinates.schur import TIE_RULE, OrderedSchur, ordered_schur
from ..networks.constructions import init_network
from ..networks.network import Network
from ..training import train
from .experiments import Experiment

FORMAT = "schurscope-job-1"
LEVEL = 0.95  # of every interval
RESAMPLES = 2000

Check = Callable[[], None]
Advance = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Job:
    """One seed of one experiment."""

    experiment: Experiment
    seed: int
    mode: str

    @property
    def name(self) -> str:
        """For files and for people, e.g. ``"flip-flop-seed0"``."""
        return f"{self.experiment.name}-seed{self.seed}"

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        training = self.experiment.training
        return int(training["epochs"] * training["batches_per_epoch"])

    def configuration(self) -> dict[str, Any]:
        """Everything that decides the result, as plain values."""
        return {
            "format": FORMAT,
            "version": __version__,
            "mode": self.mode,
            "seed": self.seed,
            "entropy": self.experiment.entropy(self.seed),
            "experiment": self.experiment.configuration(),
            "dtype": "float32",
            "tie_rule": TIE_RULE,
            "bootstrap": {"level": LEVEL, "n_resamples": RESAMPLES},
        }

    @cached_property
    def key(self) -> str:
        """SHA-256 of the configuration."""
        return _digest(self.configuration())

    @property
    def record_path(self) -> str:
        """Where the record is, in the output folder."""
        return f"jobs/{self.name}.json"

    @property
    def network_path(self) -> str:
        """Where the trained network is, in the output folder."""
        return f"networks/{self.name}.npz"

    @property
    def loss_path(self) -> str:
        """Where the loss of every step is, in the output folder."""
        return f"networks/{self.name}-loss.npy"


@dataclass(frozen=True, eq=False)
class ProfileRecord:
    """What a job keeps of an AblationProfile: enough for every table and figure."""

    names: tuple[str, ...]
    value: NDArray[np.float64]
    change: NDArray[np.float64]
    removed_mass: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    per_step: NDArray[np.float64]
    value_interval: NDArray[np.float64]
    change_interval: NDArray[np.float64]
    vacuous: NDArray[np.bool_]
    diverged: NDArray[np.bool_]
    measure: str
    alpha: float
    n_R: int
    gap: float

    @property
    def definition(self) -> Measure:
        """What was measured."""
        return measure_named(self.measure)

    @property
    def chance(self) -> float:
        """The value of an answer that ignores the inputs."""
        return 0.5 if self.measure == "replay_accuracy" else 1.0


@dataclass(frozen=True, eq=False)
class JobRecord:
    """A finished job."""

    job: Job
    profiles: tuple[ProfileRecord, ...]
    content: dict[str, Any]

    def profile(self, alpha: float) -> ProfileRecord:
        """The profile at this cut."""
        return next(profile for profile in self.profiles if profile.alpha == alpha)


def run_job(job: Job, folder: Path, n_threads: int, check: Check, advance: Advance) -> JobRecord:
    """Train, save, ablate, record.

    Parameters
    ----------
    job : Job
    folder : Path
        The output folder, with its subfolders.
    n_threads : int
        Threads of the ablation sweep.
    check : callable
        Called between the parts of the work; what it raises ends the job.
    advance : callable
        ``advance(steps_done, steps_total, last_loss)`` while training.
    """
    experiment = job.experiment
    streams = experiment.streams(job.seed)
    started = time.perf_counter()
    network = init_network(
        experiment.task,
        experiment.n_hidden,
        experiment.recurrent,
        streams["init"],
        dtype=np.float32,
    )

    def progress(done: int, total: int, loss: float) -> None:
        check()
        advance(done, total, loss)

    result = train(
        network, experiment.task, **experiment.training, rng=streams["training"], progress=progress
    )
    result.network.save(folder / job.network_path)
    _save_loss(folder / job.loss_path, result.loss)
    trained = time.perf_counter()

    schur = ordered_schur(result.network.W_hh.astype(np.float64))
    trials = experiment.evaluation_task.trials(
        experiment.evaluation_trials, streams["evaluation"], dtype=np.float32
    )
    profiles = []
    for alpha in experiment.alphas:
        check()
        profile = ablate(
            result.network,
            trials,
            alpha=alpha,
            ablations=experiment.ablations,
            measure=experiment.measure,
            n_threads=n_threads,
            schur=schur,
        )
        profiles.append(_profile_content(profile, streams["bootstrap"]))
    content = {
        "format": FORMAT,
        "key": job.key,
        "configuration": job.configuration(),
        "files": {path: _file_digest(folder / path) for path in (job.network_path, job.loss_path)},
        "level": _core.LEVEL,
        "n_threads": n_threads,
        "last_loss": float(result.loss[-1]),
        "schur": _schur_content(schur),
        "profiles": profiles,
        "seconds": {"train": trained - started, "ablate": time.perf_counter() - trained},
    }
    content = json.loads(json.dumps(plain(content)))
    content["digest"] = _digest(content)
    write_json(folder / job.record_path, content)
    return _record(job, content)


def load_job(job: Job, folder: Path) -> tuple[JobRecord | None, str]:
    """The record of a job done before, or None and the reason why it cannot be used.

    The reason is empty when there is no record.
    """
    path = folder / job.record_path
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None, ""
    except (OSError, UnicodeDecodeError) as error:
        return None, f"its record cannot be read ({error})"
    try:
        content = json.loads(text)
        digest = content.pop("digest")
    except (ValueError, AttributeError, KeyError, TypeError):
        return None, "its record is damaged"
    if digest != _digest(content):
        return None, "its record is damaged"
    if content["key"] != job.key:
        return None, "its record is of another configuration or version"
    for name, expected in content["files"].items():
        try:
            found = _file_digest(folder / name)
        except OSError:
            return None, f"{name} is missing or cannot be read"
        if found != expected:
            return None, f"{name} is damaged"
    return _record(job, {**content, "digest": digest}), ""


def load_network(record: JobRecord, folder: Path) -> Network:
    """The trained network of a finished job."""
    return Network.load(folder / record.job.network_path)


def _profile_content(profile: AblationProfile, rng: np.random.Generator) -> dict[str, Any]:
    intervals = profile.interval(LEVEL, RESAMPLES, rng)
    sectors = profile.sectors
    content: dict[str, Any] = {
        "alpha": profile.alpha,
        "n_R": sectors.n_R,
        "gap": sectors.gap,
        "measure": profile.measure,
        "names": list(profile.names),
        "value_interval": intervals.value,
        "change_interval": intervals.change,
        "settings": profile.settings,
    }
    kept = ("value", "change", "removed_mass", "sensitivity", "per_step", "vacuous", "diverged")
    return content | {name: getattr(profile, name) for name in kept}


def _schur_content(schur: OrderedSchur) -> dict[str, Any]:
    return {
        "rho": schur.rho,
        "residual": schur.residual,
        "departure": schur.departure,
        "n_swaps": schur.n_swaps,
        "n_refused": len(schur.refused),
        "n_blocks": len(schur.starts),
    }


def _record(job: Job, content: dict[str, Any]) -> JobRecord:
    return JobRecord(job, tuple(map(_profile_record, content["profiles"])), content)


def _profile_record(content: dict[str, Any]) -> ProfileRecord:
    def floats(name: str) -> NDArray[np.float64]:
        return np.array(content[name], dtype=np.float64)  # None, what was not finite, becomes NaN

    return ProfileRecord(
        names=tuple(content["names"]),
        value=floats("value"),
        change=floats("change"),
        removed_mass=floats("removed_mass"),
        sensitivity=floats("sensitivity"),
        per_step=floats("per_step"),
        value_interval=floats("value_interval"),
        change_interval=floats("change_interval"),
        vacuous=np.array(content["vacuous"], dtype=np.bool_),
        diverged=np.array(content["diverged"], dtype=np.bool_),
        measure=content["measure"],
        alpha=content["alpha"],
        n_R=content["n_R"],
        gap=float(floats("gap")),
    )


def _save_loss(path: Path, loss: NDArray[np.float64]) -> None:
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, loss, allow_pickle=False)


def _digest(content: Any) -> str:
    text = json.dumps(plain(content), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
