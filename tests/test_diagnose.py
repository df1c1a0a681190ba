"""The whole diagnosis: its parts, its sentences, its file, its page and its command."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import schurscope as ss
from schurscope import plotting
from schurscope.cli import main
from schurscope.trials.tasks import FlipFlop

TASK = FlipFlop()


@pytest.fixture(scope="module")
def trained():
    return ss.train(ss.init_network(TASK, 24, "orthogonal", 0), TASK, rng=1).network


@pytest.fixture(scope="module")
def found(trained):
    return ss.diagnose(trained, TASK.trials(200, 2), draws=40, repeats=1)


def test_a_diagnosis_has_the_numbers_of_its_parts(trained, found):
    trials = TASK.trials(200, 2)
    profile = ss.ablate(trained, trials)
    assert np.array_equal(found.profile.value, profile.value)
    assert np.array_equal(found.atlas.effect, ss.atlas(trained, trials, method="exact").effect)
    at = found.cuts.at(0.9)
    assert found.cuts.change[at] == pytest.approx(profile["CR"].change, abs=1e-9)
    assert found.shapley.total == pytest.approx(profile["RR+CR+CC"].change)
    assert found.account.exact == pytest.approx([profile[n].change for n in found.couplings])
    assert found.removable.interval[1] <= 0.01
    frame = found.to_dataframe()
    assert frame.coupling.tolist() == ["RR", "CR", "CC", "BB"]
    assert frame.verdict.tolist() == list(found.verdicts)


def test_the_page_has_a_sentence_for_each_coupling(found):
    page = str(found)
    assert all(sentence in page for sentence in found.verdicts)
    assert [sentence[:3] for sentence in found.verdicts] == ["RR:", "CR:", "CC:", "BB:"]
    assert page.count("warning:") == len(found.warnings)


def verdict_of(found, coupling, change, half_width, **settings):
    """The verdict if the coupling changed the measure by this much, give or take."""
    profile = found.profile
    place = profile.names.index(coupling)
    row = change + half_width * np.linspace(-1, 1, profile.per_trial.shape[1]) * 8
    per_trial = profile.per_trial.copy()
    per_trial[place] = profile.per_trial[0] + row
    changes = profile.change.copy()
    changes[place] = change
    edited = replace(profile, per_trial=per_trial, change=changes)
    return replace(found, profile=edited, settings={**found.settings, **settings}).verdicts[
        found.couplings.index(coupling)
    ]


def test_verdicts_follow_the_interval_and_the_tolerance(found):
    assert "needed (" in verdict_of(found, "CR", 0.1, 0.001)
    assert "not needed" in verdict_of(found, "CR", 0.001, 0.001)
    assert "burden" in verdict_of(found, "CR", -0.1, 0.001)
    assert "undecided at tolerance 0.01" in verdict_of(found, "CR", 0.01, 0.05)
    assert "not needed" in verdict_of(found, "CR", 0.1, 0.001, tolerance=0.5)


def test_a_harmless_coupling_says_why(found):
    account = found.account
    table = {
        "small": [1e-4, 1, 1, 1, 1],
        "silent": [1, 1e-4, 1, 1, 1],
        "unread": [1, 1, 1e-4, 1, 1],
        "compensated": [1, 1, 1, 1, 1e-4],
    }
    for kind, factors in table.items():
        edited = replace(account, factors=np.tile(factors, (4, 1)).astype(float))
        assert replace(found, account=edited).why("RR") == kind


def test_warnings_name_what_undermines_the_verdicts(found):
    doubtful = replace(found, removable=replace(found.removable, jaccard=0.3))
    assert any("not unique" in text for text in doubtful.warnings)
    at = found.cuts.at(0.9)
    change = found.cuts.change.copy()
    change[at + 1] = 50 * abs(change[at]) + 1
    moved = replace(found, curves={"": replace(found.cuts, change=change)})
    assert any("alpha decides what CR costs" in text for text in moved.warnings)
    tied = found.cuts.tied.copy()
    tied[at] = True
    near = replace(found, curves={"": replace(found.cuts, tied=tied)})
    assert any("near-tied" in text for text in near.warnings)


def test_a_saved_diagnosis_comes_back_whole(found, tmp_path):
    path = tmp_path / "d.npz"
    found.save(path)
    loaded = ss.Diagnosis.load(path)
    assert str(loaded) == str(found)
    assert loaded.to_dataframe().equals(found.to_dataframe())
    assert np.array_equal(loaded.profile.per_trial, found.profile.per_trial)
    assert loaded.profile.interval(rng=3).change == pytest.approx(
        found.profile.interval(rng=3).change, nan_ok=True
    )
    assert loaded.atlas.schur is loaded.profile.schur  # written once
    loaded.save(tmp_path / "again.npz")
    assert str(ss.Diagnosis.load(tmp_path / "again.npz")) == str(found)
    TASK.trials(3, 1).save(tmp_path / "t.npz")
    with pytest.raises(ValueError, match=r"is not a schurscope-diagnosis-1 file"):
        ss.Diagnosis.load(tmp_path / "t.npz")
    content = path.read_bytes()
    path.write_bytes(content[:-200])
    with pytest.raises(ValueError, match="damaged"):
        ss.Diagnosis.load(path)


def test_the_same_seed_gives_the_same_diagnosis_on_any_threads(trained, found):
    seen = []
    again = ss.diagnose(
        trained,
        TASK.trials(200, 2),
        draws=40,
        repeats=1,
        n_threads=3,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert str(again) == str(found)
    assert seen == [(part, len(seen)) for part in range(1, len(seen) + 1)]
    assert len(seen) > 5


def test_the_page_is_drawn(found, tmp_path):
    figure = found.plot()
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert "every pair of blocks" in titles
    assert "how much can go at once" in titles
    plotting.save_figure(figure, tmp_path / "page.png")
    words = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert all(sentence.split(" (")[0] in words for sentence in found.verdicts)
    ax = plotting.cut_effects(found.cuts, 0.9)
    curve = next(line for line in ax.lines if line.get_label() == "change without CR")
    assert curve.get_ydata().tolist() == found.cuts.change.tolist()
    image = plotting.atlas_map(found.atlas).images[0]
    shown = np.asarray(image.get_array().filled(np.nan))
    assert np.array_equal(shown, found.atlas.matrix(), equal_nan=True)


@pytest.mark.parametrize("kind", ["accuracy", "noise", "one block", "normal", "own measure"])
def test_unusual_networks_are_diagnosed_too(kind):
    task, measure, cell, n_hidden = TASK, "fvu", ss.Cell(), 6
    trials = task.trials(32, 2)
    recurrent = "normal" if kind == "normal" else "default"
    if kind == "accuracy":
        measure = "sign_accuracy"
    if kind == "noise":
        cell = ss.Cell(noise=0.1)
    if kind == "one block":
        n_hidden = 1
    if kind == "own measure":

        class Distance(ss.measures.Measure):
            name, heading, better = "distance", "distance", "lower"

            def scores(self, outputs, targets):
                return np.abs(outputs - targets).sum(axis=2)

        measure = Distance()
    network = ss.init_network(task, n_hidden, recurrent, 3, cell=cell)
    found = ss.diagnose(network, trials, measure=measure, draws=5, repeats=1)
    assert len(found.verdicts) == 4
    assert (found.removable is None) == (kind in ("own measure", "one block"))
    assert found.plot().axes
    if kind == "own measure":
        assert not any("; it is" in text for text in found.verdicts)  # no reason was computed
    if kind == "normal":
        assert all("nothing to remove" in text for text in found.verdicts)


class Likeness(ss.measures.Measure):
    name, heading, unit, better = "likeness", "likeness", "", "higher"

    def scores(self, outputs, targets):
        return np.exp(-np.abs(outputs - targets).sum(axis=2))


def test_a_measure_of_ones_own_keeps_its_direction_in_a_file(trained, tmp_path):
    found = ss.diagnose(trained, TASK.trials(32, 2), measure=Likeness(), draws=5, repeats=1)
    found.save(tmp_path / "d.npz")
    loaded = ss.Diagnosis.load(tmp_path / "d.npz")
    assert loaded.loss("CR") == found.loss("CR") == -found.profile["CR"].change
    assert loaded.verdicts == found.verdicts
    assert loaded.profile.definition.better == "higher"
    assert str(loaded) == str(found)


def test_a_score_without_a_direction_is_refused(trained):
    def accuracy(outputs, trials):
        return np.square(outputs - trials.targets).mean(axis=(1, 2))

    with pytest.raises(ValueError, match="measure must say which values are better"):
        ss.diagnose(trained, TASK.trials(32, 2), measure=accuracy)


def test_the_level_is_that_of_every_interval_and_checked(trained):
    found = ss.diagnose(trained, TASK.trials(32, 2), level=0.5, draws=5, repeats=1)
    parts = (found.cuts, found.removable, found.shapley, found.interactions, found.dose)
    assert {part.settings["level"] for part in parts} == {0.5}
    for level in (-1, 95):
        with pytest.raises(ValueError, match=r"level must be in \(0, 1\]"):
            ss.diagnose(trained, TASK.trials(32, 2), level=level)
        with pytest.raises(ValueError, match=r"level must be in \(0, 1\]"):
            ss.removable(trained, TASK.trials(32, 2), TASK.trials(32, 3), level=level)


def test_deeply_nested_content_is_damage(tmp_path):
    content = np.array("[" * 100_000 + "]" * 100_000)
    entries = np.array(["content"])
    np.savez(tmp_path / "d.npz", format="schurscope-diagnosis-1", entries=entries, content=content)
    with pytest.raises(ValueError, match="does not hold a valid result"):
        ss.Diagnosis.load(tmp_path / "d.npz")


def test_too_few_trials_are_refused(trained):
    with pytest.raises(ValueError, match="trials must be at least 16"):
        ss.diagnose(trained, TASK.trials(10, 1))


def test_the_command_prints_the_page_and_writes_it(trained, tmp_path):
    trained.save(tmp_path / "net.npz")
    arguments = ["diagnose", tmp_path / "net.npz", "--task", "flip-flop", "--n-trials", "100"]
    arguments += ["--draws", "5", "--repeats", "1", "--out", tmp_path / "out"]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "CR: " in result.output
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {
        "page.png",
        "couplings.csv",
        "pairs.csv",
        "cuts.csv",
        "settings.json",
        "diagnosis.npz",
    }
    loaded = ss.Diagnosis.load(tmp_path / "out" / "diagnosis.npz")
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings["n_trials"] == 100
    assert str(loaded.verdicts[0]) in result.output
    bad = CliRunner().invoke(main, [str(a) for a in [*arguments, "--tolerance", "-1"]])
    assert bad.exit_code == 1
    assert "tolerance must be" in bad.output
