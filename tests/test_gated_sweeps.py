"""Gated networks outside Python: sweeps, the command line, figures and files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import schurscope as ss
from schurscope.cli import main
from schurscope.plotting.sweeps import save_sweep_figures
from schurscope.sweep import Store, Sweep, collect, plan
from schurscope.sweep.collect import spectra
from schurscope.sweep.work import load_result
from small_gated import gated_network, kinds
from small_sweeps import TRAINING, run_here

CONFIG = """
cell = "gru"
widths = [6]
seeds = 2
alphas = [0.7]
evaluation_trials = 32
training = { epochs = 1, batches_per_epoch = 20, batch_size = 8, learning_rate = 5e-3 }
[[tasks]]
task = "flip-flop"
n_steps = 8
"""


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "gru.toml"
    path.write_text(CONFIG)
    return Sweep.load(path)


@pytest.fixture(scope="module")
def store(sweep, tmp_path_factory):
    root = tmp_path_factory.mktemp("gated") / "store"
    assert run_here(sweep, root).ran == 2
    return root


def test_a_kind_in_toml_is_a_cell(sweep):
    assert sweep.cell == ss.Cell(kind="gru")
    names = ss.ablate(
        ss.init_network(ss.tasks.FlipFlop(), 5, rng=0, cell="gru"), ss.tasks.FlipFlop().trials(4, 0)
    ).names
    assert tuple(sweep.ablations) == names
    table = {"tasks": [{"task": "sine"}], "widths": [8], "cell": {"kind": "gru", "reset": "before"}}
    assert Sweep.from_table(table).cell == ss.Cell(kind="gru", reset="before")
    table |= {"cell": "lstm", "ablations": ["o:CR,i:CC", "CC+CR"]}
    assert Sweep.from_table(table).ablations == ("full", "i:CC,o:CR", "CR+CC")
    with pytest.raises(ValueError, match=r"ablations must name gates of 'i', .*got 'n' in 'n:CR'"):
        Sweep.from_table({**table, "ablations": ["n:CR"]})
    with pytest.raises(ValueError, match='constructions must not be "cayley"'):
        Sweep.from_table({**table, "constructions": ["cayley"]})
    with pytest.raises(ValueError, match="cell must be one of 'vanilla', 'gru', 'lstm', got 'gur'"):
        Sweep.from_table({**table, "cell": "gur"})
    vanilla = replace(sweep, cell=ss.Cell(), ablations=None)
    assert len(vanilla.ablations) == 9
    assert plan(vanilla)[0].cost < plan(sweep)[0].cost


def test_a_sweep_keeps_what_ablate_says(sweep, store):
    found = collect(sweep, store, verify=True)
    assert (found.jobs["state"] == "done").all()
    job = plan(sweep)[0]
    result = load_result(Store(store), job.key)
    trials = job.setting.evaluation.trials(32, job.streams()["evaluation"], dtype="float32")
    profile = ss.ablate(result.network, trials, alpha=0.7, n_threads=1)
    kept = result.profiles[0]
    for name in ("value", "removed_mass", "per_trial", "vacuous"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(profile, name))
    for gate, mass in kept.gate_masses.items():
        np.testing.assert_array_equal(mass, profile.gate_masses[gate])
    assert str(kept) == str(profile)
    assert dict(kept.settings) == dict(profile.settings)
    moduli = [schur.moduli for schur in profile.coordinates.schurs]
    np.testing.assert_array_equal(result.moduli, moduli)
    rows = found.rows[found.rows["key"] == job.key].set_index("ablation")
    assert rows["value"].tolist() == profile.value.tolist()
    for gate, cut in profile.gates.items():
        assert rows.loc[f"{gate}:CC", "n_R"] == cut.n_R
        assert rows.loc[f"{gate}:CC", "gap"] == pytest.approx(cut.gap)
    assert rows["n_R"].isna().sum() == 9
    assert pd.isna(rows.loc["CR", "n_R"])
    array = found.to_xarray()
    assert array["n_R"].dims == ("task", "recurrent", "N_h", "seed", "alpha", "ablation")
    chosen = array["n_R"].sel(ablation="n:CC").values.ravel()
    assert chosen[0] == profile.gates["n"].n_R


def test_statistics_and_figures_are_by_ablation(sweep, store, tmp_path):
    found = collect(sweep, store)
    rows = found.rows.assign(passed=True)
    table = ss.sweep.summarize(rows, "n_R").set_index("ablation")
    assert table.loc["n:CR", "n"] == 2
    assert table.loc["CR", "n"] == 0
    assert set(ss.sweep.effects(rows)["ablation"]) <= set(sweep.ablations) - {"full"}
    moduli = spectra(found, Store(store))
    assert next(iter(moduli.values()))[6][0].shape == (3, 6)
    names = save_sweep_figures(rows, moduli, tmp_path)
    assert all((tmp_path / name).stat().st_size > 1000 for name in names)
    ax = ss.plotting.quantity_against_width(rows, "n_R")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["r", "z", "n"]


def test_cut_curves_of_a_sweep_are_by_gate(sweep, tmp_path):
    diagnosed = replace(sweep, seeds=[0], diagnose="cuts")
    assert run_here(diagnosed, tmp_path).ran == 1
    found = collect(diagnosed, tmp_path)
    curves = found.curves(plan(diagnosed)[0])
    assert list(curves) == ["r", "z", "n"]
    with pytest.raises(ValueError, match="of must have the vanilla cell, got gates r, z, n"):
        found.cuts(plan(diagnosed)[0])
    table = ss.sweep.cut_curves(found).assign(passed=True)
    for gate, curve in curves.items():
        assert curve.gate == gate
        mine = table[table["gate"] == gate]
        assert mine["change"].tolist() == curve.change.tolist()
    summary = ss.sweep.summarize_cuts(table)
    assert len(summary) == sum(map(len, curves.values()))
    ax = ss.plotting.network_cuts(table[table["gate"] == "z"])
    assert ax.get_title().endswith("gate z")
    with pytest.raises(ValueError, match="rows must be of one gate"):
        ss.plotting.network_cuts(table)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    task = ss.tasks.FlipFlop(n_steps=8)
    network = ss.init_network(task, 8, "orthogonal", 0, cell="gru")
    network = ss.train(network, task, **TRAINING, rng=1).network
    path = tmp_path_factory.mktemp("gru") / "gru.npz"
    network.save(path)
    return path


def test_the_command_ablates_gates(saved, tmp_path):
    asked = ["ablate", saved, "--task", "flip-flop", "--n-trials", 40]
    result = call(*asked, "--ablation", "n:CR", "--ablation", "r:CR,z:CC", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "of each gate's spectrum, which is not the network's: n_R (gap) r " in told
    with open(tmp_path / "profile.csv", newline="", encoding="utf-8") as stream:
        rows = {row["name"]: row for row in csv.DictReader(stream)}
    assert list(rows) == ["full", "n:CR", "r:CR,z:CC"]
    assert rows["n:CR"]["removed_mass_n"] == rows["n:CR"]["removed_mass"]
    assert rows["n:CR"]["removed_mass_z"] == "nan"
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert set(settings["n_R"]) == {"r", "z", "n"}
    written = {path.name for path in tmp_path.iterdir()}
    for gate in "rzn":
        assert {f"schur_matrix_{gate}.png", f"spectrum_{gate}.pdf"} <= written
    alone = call(*asked, "--gate", "n", "--gate", "z", "--ablation", "CR+CC")
    names = [line.split()[0] for line in alone.output.splitlines() if line.strip()]
    assert {"n:CR+CC", "z:CR+CC"} <= set(names)
    every = call(*asked, "--gate", "n").output
    assert "n:RR+CC" in every
    assert "z:" not in every
    bad = call(*asked, "--gate", "x")
    assert bad.exit_code == 1
    assert "--gate must be one of 'r', 'z', 'n', got 'x'" in " ".join(bad.output.split())


def test_info_lists_the_gates(saved):
    told = call("info", saved).output
    rho = ss.ordered_schur(ss.Network.load(saved), gate="z").rho
    assert f"gate z: W_hh (8, 8), spectral radius of the gate, not the network, {rho:.4g}" in told


@kinds
def test_figures_name_their_gates(cell, rng):
    network = gated_network(cell, rng, sizes=(9, 3, 2))
    trials = ss.Trials(rng.standard_normal((20, 5, 3)), rng.standard_normal((20, 5, 2)))
    profile = ss.ablate(network, trials, alpha=0.6)
    ax = profile.plot()
    labels = [text.get_text() for text in ax.get_xticklabels()]
    first = cell.gates[0]
    assert f"{first}\n−CR" in labels
    assert f"{first} {profile.gates[first].n_R}" in ax.get_title(loc="left")
    cut = profile.gates[first]
    assert f"of {first}," in ss.plotting.schur_matrix(cut.schur, cut, gate=first).get_title()
    assert f"gate {first}:" in ss.plotting.spectrum(cut.schur, cut, gate=first).get_title()
    drawn = ss.plotting.trajectories(
        network,
        trials,
        ablations=["CR", f"{first}:CR"],
        alpha=0.6,
        schur=profile.coordinates.argument,
    )
    assert {text.get_text() for text in drawn.get_yticklabels()} >= {f"{first} −CR"}
