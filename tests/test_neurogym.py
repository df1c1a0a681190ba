"""Sequences of neurogym tasks: correct, and repeatable for the same seed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frameworks import framework
from schurscope import Trials

neurogym = framework("neurogym")

README = Path(__file__).parents[1] / "README.md"

# What gymnasium says about neurogym, when a data set or an environment is made and used.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*The environment creator metadata:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*to get variables from other wrappers:UserWarning"),
]

DECISION = "PerceptualDecisionMaking-v0"


def same(first, second):
    return first.inputs.tobytes() == second.inputs.tobytes() and np.array_equal(
        first.targets, second.targets
    )


def test_a_task_without_noise_is_as_its_description_says():
    # 3 steps: fixation, 2 of stimulus; then 1 of decision. The stronger of 2 stimuli is the answer.
    timing = {"fixation": 100, "stimulus": 200, "delay": 0, "decision": 100}
    arguments = {"timing": timing, "sigma": 0, "cohs": [50]}
    dataset = neurogym.Dataset(DECISION, env_kwargs=arguments, batch_size=3, seq_len=10)
    trials = Trials.from_neurogym(dataset, 200, 1)
    assert (trials.inputs.shape, trials.targets.shape) == ((200, 10, 3), (200, 10, 3))
    assert trials.dtype == np.float32
    assert trials.weights is None
    period = np.arange(10) % 4  # a sequence begins with a trial and is cut in its third
    assert (trials.inputs[:, period == 0] == [1, 0, 0]).all()
    assert (trials.inputs[:, period == 3] == 0).all()
    stimulus = trials.inputs[:, period == 1, 1:]
    np.testing.assert_allclose(
        np.sort(stimulus, axis=2), np.broadcast_to([0.25, 0.75], (200, 3, 2))
    )
    classes = trials.targets.argmax(axis=2)
    assert (trials.targets.sum(axis=2) == 1).all()
    assert (trials.targets.max(axis=2) == 1).all()
    assert (classes[:, period != 3] == 0).all()
    assert np.array_equal(classes[:, period == 3], 1 + stimulus[:, :2].argmax(axis=2))
    assert 0.4 < (classes[:, 3] == 1).mean() < 0.6


# Noise; durations that belong to one environment alone; a memory of the last trials; vectors.
TASKS = (DECISION, "ReadySetGo-v0", "ProbabilisticReasoning-v0", "ReachingDelayResponse-v0")


@pytest.mark.parametrize("name", TASKS)
def test_the_seed_decides_all_whatever_was_drawn_before(name):
    dataset, used = (neurogym.Dataset(name, seq_len=60, batch_size=2) for _ in range(2))
    first = Trials.from_neurogym(dataset, 30, 5)
    for _ in range(20):
        used()
    assert same(Trials.from_neurogym(used, 30, 5), first)
    assert same(Trials.from_neurogym(dataset, 30, np.random.default_rng(5)), first)
    assert not same(Trials.from_neurogym(dataset, 30, 6), first)
    assert not same(Trials.from_neurogym(dataset, 30, None), first)
    fewer = Trials.from_neurogym(dataset, 12, 5)
    assert np.array_equal(fewer.inputs, first.inputs[:12])
    assert len(np.unique(first.inputs, axis=0)) > 5


def test_targets_that_are_vectors_stay_vectors():
    dataset = neurogym.Dataset("ReachingDelayResponse-v0", seq_len=40)
    trials = Trials.from_neurogym(dataset, 20, 0)
    assert trials.n_outputs == 2
    assert len(np.unique(trials.targets)) > 10


def test_the_data_set_is_left_alone():
    datasets = []
    for _ in range(2):
        dataset = neurogym.Dataset("ReadySetGo-v0", seq_len=60)
        dataset.seed(3)
        for _ in range(3):
            dataset.env.unwrapped.new_trial()
        datasets.append(dataset)
    Trials.from_neurogym(datasets[0], 10, 0)
    for dataset in datasets:
        dataset.env.unwrapped.new_trial()
    first, second = (dataset.env.unwrapped.ob for dataset in datasets)
    assert np.array_equal(first, second)


def test_wrapped_environments_are_made_by_the_user():
    def make():
        # Trials of one side only: what the wrapper does to them.
        env = neurogym.make(DECISION)
        return neurogym.wrappers.SideBias(env, probs=[[0.0, 1.0]], block_dur=500)

    dataset = neurogym.Dataset(make(), seq_len=22)
    with pytest.raises(ValueError, match="got one of SideBias of OrderEnforcing of PerceptualDeci"):
        Trials.from_neurogym(dataset, 20, 0)
    trials = Trials.from_neurogym(dataset, 20, 0, make=make)
    assert same(trials, Trials.from_neurogym(dataset, 20, 0, make=make))
    assert (trials.targets[:, -1].argmax(axis=1) == 2).all()


def test_what_a_seed_does_not_decide_is_refused():
    # This task draws the length of its first block when it is made, before it can be seeded.
    dataset = neurogym.Dataset("HierarchicalReasoning-v0", seq_len=400)

    def make_with(block_sizes):
        def make():
            env = neurogym.make("HierarchicalReasoning-v0")
            env.unwrapped.block_size = next(block_sizes)
            return env

        return make

    with pytest.raises(ValueError, match="environment whose seed determines its trials, got diff"):
        Trials.from_neurogym(dataset, 20, 0, make=make_with(iter([10, 20])))
    assert Trials.from_neurogym(dataset, 20, None, make=make_with(iter([10]))).n_trials == 20
    first, again = (
        Trials.from_neurogym(dataset, 20, 0, make=make_with(iter([10, 10]))) for _ in range(2)
    )
    assert same(first, again)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dataset": DECISION}, TypeError, "dataset must be a neurogym.Dataset, got str"),
        ({"n_trials": 0}, ValueError, "n_trials must be at least 1, got 0"),
        ({"n_trials": 2.5}, TypeError, "n_trials must be an integer"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": "a"}, TypeError, "seed must be a numpy.random.Generator"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    given = {"dataset": neurogym.Dataset(DECISION, seq_len=22), "n_trials": 2, "seed": 0, **options}
    with pytest.raises(error, match=message):
        Trials.from_neurogym(**given)


def test_spaces_without_a_place_in_trials_are_refused():
    from gymnasium.spaces import Box, MultiDiscrete

    for name, space in (
        ("observation_space", Box(0, 1, (3, 2))),
        ("action_space", Box(0, 1, (3, 2))),
        ("action_space", MultiDiscrete([3, 3])),
    ):
        dataset = neurogym.Dataset(DECISION, seq_len=22)
        setattr(dataset.env.unwrapped, name, space)
        with pytest.raises(ValueError, match="dataset must have vectors as observations, and vec"):
            Trials.from_neurogym(dataset, 2, 0)


def test_without_neurogym_the_error_says_what_to_install(monkeypatch):
    dataset = neurogym.Dataset(DECISION, seq_len=22)
    monkeypatch.setitem(sys.modules, "neurogym", None)
    with pytest.raises(ImportError, match=r'pip install "schurscope\[neurogym\]"'):
        Trials.from_neurogym(dataset, 2, 0)


def test_the_readme_goes_from_a_task_to_a_figure(tmp_path):
    text = README.read_text(encoding="utf-8")
    code = re.search(r"```python\n((?:(?!```).)*neurogym\.Dataset.*?)```", text, re.DOTALL)[1]
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=600,
        cwd=tmp_path,
    )
    rows = dict(re.findall(r"^((?:full|RR|CR|CC)[+RC]*) +(\S+)", run.stdout, re.MULTILINE))
    assert len(rows) == 8
    assert "caution" not in run.stdout
    assert float(rows["full"]) > 0.75  # of two choices, so 0.5 would be chance
    assert float(rows["RR+CR+CC"]) < float(rows["full"]) - 0.15
    assert (tmp_path / "decision.png").read_bytes().startswith(b"\x89PNG")
