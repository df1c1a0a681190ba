"""A user's program, which CI checks with `mypy --strict` against the installed package.

Every ignored line must be an error: if a type got lost, mypy would report an unused ignore.
"""
# ruff: noqa: T201

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import schurscope as ss


def decoder_matrix(network: ss.Network) -> npt.NDArray[np.float64]:
    form: ss.OrderedSchur = ss.ordered_schur(network.W_hh)
    n_R: int = form.sectors(alpha=0.9).n_R
    mask: npt.NDArray[np.bool_] = form.sectors().mask("CR")
    print(n_R, mask.sum(), form.eigenvalues.real.max())
    return form.ablated({"CC"}, alpha=0.9)


def largest_change(task: ss.Task, folder: Path) -> float:
    network = ss.init_network(task, 64, recurrent="orthogonal", rng=0)
    result: ss.TrainingResult = ss.train(network, task, epochs=2, rng=np.random.default_rng(1))
    result.network.save(folder / "network.npz")
    trials: ss.Trials = task.trials(128, rng=2)
    profile: ss.AblationProfile = ss.ablate(
        ss.Network.load(folder / "network.npz"), trials, ablations=["CR"], measure="fvu"
    )
    intervals: ss.Intervals = profile.interval(rng=3)
    print(profile["CR"].sensitivity, intervals)
    spread: ss.TieSpread = ss.tie_spread(result.network, trials)
    print(spread.spread, ss.fvu(result.network.rollout(trials.inputs), trials.targets))
    print(ss.get_include(), ss.get_cmake_dir(), ss.__version__)
    return float(np.abs(profile.change).max())


def memories(network: ss.Network, trials: ss.Trials) -> float:
    points: ss.FixedPoints = ss.fixed_points(network, starts=network.states(trials.inputs))
    jacobian: ss.Jacobian = points.jacobians[0]
    along: ss.Jacobians = ss.jacobians(network, trials.inputs, n_states=10, rng=0)
    print(points.stable.sum(), jacobian.masses["CR"], along.nonnormality.max())
    return jacobian.spectral_radius


def gates(model: Any, trials: ss.Trials, weight: ss.pytorch.RecurrentWeight) -> ss.Ablation:
    evaluate = ss.pytorch.evaluator(model, trials, "fvu", weight=weight)
    profile = ss.ablate_with(weight.matrices(), evaluate, ablations=["n:CR", "r:CR,z:CR"])
    print(profile.gates["n"].n_R, profile.gate_masses["n"])
    return ss.Ablation.of("n:CR", profile.gates)


def mistakes(task: ss.Task, network: ss.Network, trials: ss.Trials) -> None:
    ss.ablate(network, trials, measure=3)  # type: ignore[arg-type]
    ss.ablate(trials, network)  # type: ignore[arg-type]
    ss.train(network, task)  # type: ignore[call-arg]
    ss.train(network, task, optimizer="lbfgs", rng=0)  # type: ignore[arg-type]
    ss.Cell(form="current-based")  # type: ignore[arg-type]
    n_hidden: str = network.n_hidden  # type: ignore[assignment]
    outputs: str = network.rollout(trials.inputs)  # type: ignore[assignment]
    value: str = ss.ablate(network, trials).value  # type: ignore[assignment]
    T: str = ss.ordered_schur(network.W_hh).T  # type: ignore[assignment]
    n_R: str = ss.ordered_schur(network.W_hh).sectors().n_R  # type: ignore[assignment]
    matrix: str = ss.ordered_schur(network.W_hh).ablated({"CC"})  # type: ignore[assignment]
    loss: str = ss.train(network, task, rng=0).loss  # type: ignore[assignment]
    weights: str = ss.init_network(task, 8).W_hh  # type: ignore[assignment]
    inputs: str = task.trials(3, rng=0).inputs  # type: ignore[assignment]
    accuracy: int = ss.replay_accuracy(outputs, trials.targets)  # type: ignore[assignment]
    ss.ablate(ss.jacobians(network), trials)  # type: ignore[arg-type]
    radius: str = ss.fixed_points(network, starts=trials.inputs).stable  # type: ignore[assignment]
    folder: Path = ss.get_cmake_dir()  # type: ignore[assignment]
    version: int = ss.__version__  # type: ignore[assignment]
    print(n_hidden, outputs, value, T, n_R, matrix, loss, weights, inputs, accuracy)
    print(folder, version, radius)
