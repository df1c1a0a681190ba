"""Figures show the given numbers on the given axes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from cut_verdicts import rotated
from schurscope import Cell, Trials, ablate, init_network, plotting
from schurscope.ablation.names import SUBSETS
from schurscope.coordinates.sectors import couplings
from schurscope.trials.tasks import Copy, FlipFlop

TASK = FlipFlop(n_steps=8)
COPY = Copy(n_symbols=3, dimension=2, horizon=6)


@pytest.fixture(scope="module")
def networks():
    return [init_network(TASK, 14, "default", seed) for seed in range(3)]


@pytest.fixture(scope="module")
def profiles(networks):
    return [ablate(network, TASK.trials(40, 9)) for network in networks]


@pytest.fixture(scope="module")
def copy_profiles():
    networks = [init_network(COPY, 14, "default", seed) for seed in range(3)]
    return [ablate(net, COPY.trials(40, 9), measure="replay_accuracy") for net in networks]


@pytest.fixture(scope="module")
def vacuous_profile():
    network = init_network(COPY, 14, "normal", 1)
    return ablate(network, COPY.trials(40, 9), measure="replay_accuracy")


@pytest.fixture
def draw(networks, profiles, copy_profiles):
    """Every public figure, as a function of ax."""
    schur = profiles[0].schur
    sectors = profiles[0].sectors
    return {
        "schur_matrix": lambda ax: plotting.schur_matrix(schur, sectors, ax=ax),
        "spectrum": lambda ax: plotting.spectrum(schur, sectors, ax=ax),
        "accuracy_per_lag": lambda ax: plotting.accuracy_per_lag(copy_profiles, ax=ax),
        "value_bars": lambda ax: plotting.value_bars(profiles, ax=ax),
        "change_bars": lambda ax: plotting.change_bars(profiles, ax=ax),
        "sensitivity_bars": lambda ax: plotting.sensitivity_bars(profiles, ax=ax),
        "trajectories": lambda ax: plotting.trajectories(networks[0], TASK.trials(2, 1), ax=ax),
        "plot": lambda ax: profiles[0].plot(ax),
    }


NAMES = (
    "schur_matrix",
    "spectrum",
    "accuracy_per_lag",
    "value_bars",
    "change_bars",
    "sensitivity_bars",
    "trajectories",
    "plot",
)


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_saved_and_leave_pyplot_alone(draw, name, tmp_path):
    before = dict(mpl.rcParams)
    ax = draw[name](None)
    for suffix, signature in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        path = tmp_path / f"figure.{suffix}"
        plotting.save_figure(ax.figure, path)
        assert path.read_bytes().startswith(signature)
    assert {path.name for path in tmp_path.iterdir()} == {"figure.png", "figure.pdf"}
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_drawn_on_the_axes_given(draw, name):
    figure = Figure()
    ax = figure.add_subplot()
    assert draw[name](ax) is ax
    assert ax.has_data()


def test_bars_are_means_points_are_seeds_and_diamonds_are_published(profiles):
    ax = plotting.change_bars(profiles, paper={"CC": (0.25, 0.05)})
    names = profiles[0].names[1:]
    changes = np.array([profile.change[1:] for profile in profiles])
    assert [text.get_text() for text in ax.get_xticklabels()][:3] == ["−RR", "−CR", "−CC"]
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], changes.mean(axis=0))
    points = np.array(
        [dots.get_offsets()[:, 1] for dots in ax.collections if len(dots.get_offsets()) == 3]
    )
    np.testing.assert_allclose(np.sort(points.T, axis=0), np.sort(changes, axis=0))
    (published,) = (item for item in ax.containers if isinstance(item, ErrorbarContainer))
    assert published.lines[0].get_ydata().tolist() == [0.25]
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == [
        plotting.COLORS[name] for name in names
    ]


def test_vacuous_bars_are_hatched_and_vacuous_curves_left_out(vacuous_profile):
    bars = plotting.value_bars(vacuous_profile).patches
    assert [bool(bar.get_hatch()) for bar in bars] == [False] + [True] * (len(SUBSETS) - 1)
    for kind in ("change", "value", "sensitivity"):
        texts = [text.get_text().strip() for text in vacuous_profile.plot(kind=kind).texts]
        assert texts == ["vacuous"] * (len(SUBSETS) - 1)
    ax = plotting.accuracy_per_lag(vacuous_profile)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["full"]
    assert ax.get_legend().get_title().get_text() == "8 ablations vacuous"


def test_ablations_that_are_vacuous_in_some_seeds_are_counted(vacuous_profile, copy_profiles):
    ax = plotting.change_bars([vacuous_profile, *copy_profiles])
    assert ax.get_xticklabels()[0].get_text() == "−RR\n1 of 4\nvacuous"
    assert not any(bar.get_hatch() for bar in ax.patches)


@pytest.mark.parametrize("kind", ["change", "value", "sensitivity"])
def test_bars_of_a_cut_that_is_not_determined_are_empty(networks, kind):
    W_hh = np.float32(rotated(np.eye(14, k=1), np.random.default_rng(0)))  # all rounding
    network = replace(networks[0], W_hh=W_hh)
    ax = ablate(network, TASK.trials(20, 3)).plot(kind=kind)
    bars = dict(zip([text.get_text() for text in ax.get_xticklabels()], ax.patches, strict=True))
    for name, bar in bars.items():
        assert (bar.get_linestyle() == "--") == (name != "full"), name
    assert [text.get_text() for text in ax.texts][-1] == "cut not determined"


def test_curves_are_means_over_generated_steps(copy_profiles):
    ax = plotting.accuracy_per_lag(copy_profiles)
    expected = np.mean([profile.per_step[0, 3:] for profile in copy_profiles], axis=0)
    full = next(line for line in ax.lines if line.get_label() == "full")
    np.testing.assert_allclose(full.get_ydata(), expected)
    assert full.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]


def test_the_image_is_T_and_the_borders_are_at_the_cut(profiles):
    schur, sectors = profiles[0].schur, profiles[0].sectors
    ax = plotting.schur_matrix(schur, sectors)
    layers = [image.get_array().filled(0) for image in ax.images]
    assert len(layers) == 1 + len(couplings)
    np.testing.assert_array_equal(sum(layers), np.abs(schur.T))
    for name, layer in zip(couplings, layers[1:], strict=True):
        assert not layer[~sectors.mask(name)].any()
    R, _, C, _ = (line.get_xdata() for line in ax.lines)  # above the columns, beside the rows
    assert R.tolist() == [-0.5, sectors.n_R - 0.5]
    assert C.tolist() == [sectors.n_R - 0.5, 13.5]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["blocks", *couplings]
    (bar,) = (axes for axes in ax.figure.axes if axes is not ax)
    assert bar.get_ylabel().startswith("$|T_{ij}|$, white ")
    assert not ax.child_axes


def test_a_large_matrix_keeps_its_largest_entries_and_has_a_zoom():
    network = init_network(TASK, 300, "normal", 1)
    schur = ablate(network, TASK.trials(2, 9), ablations=["CR"]).schur
    ax = plotting.schur_matrix(schur, schur.sectors(0.5))
    blocks = ax.images[0].get_array().filled(0)
    assert blocks.shape == (150, 150)
    for place in range(150):
        part = slice(2 * place, 2 * place + 2)
        assert blocks[place, place] == np.abs(schur.T[part, part]).max()
    # T above the blocks of a normal matrix is rounding, and white.
    assert not any(image.get_array().filled(0).any() for image in ax.images[1:])
    (zoom,) = ax.child_axes
    np.testing.assert_array_equal(
        zoom.images[0].get_array().filled(0) > 0, np.abs(schur.T[:16, :16]) > 1e-6 * schur.rho
    )
    left, bottom, right, top = ax.transData.inverted().transform(zoom.get_window_extent()).ravel()
    assert right < top  # matrix rows grow downwards: the zoom lies below the diagonal
    assert left > 0
    assert bottom < 300


def test_the_spectrum_shows_every_eigenvalue_on_its_side(profiles):
    schur, sectors = profiles[0].schur, profiles[0].sectors
    R, C = plotting.spectrum(schur, sectors).collections
    assert (len(R.get_offsets()), len(C.get_offsets())) == (sectors.n_R, 14 - sectors.n_R)
    assert np.abs(R.get_offsets() @ [1, 1j]).min() >= 0.9 * schur.rho * (1 - 1e-12)
    assert np.abs(C.get_offsets() @ [1, 1j]).max() < 0.9 * schur.rho


def test_trajectories_are_target_full_and_ablated(networks, profiles):
    trials = TASK.trials(3, 1)
    ax = plotting.trajectories(networks[0], trials, ablations=("CR", "RR+CC"), trial=2, channel=1)
    lines, rows = ax.lines[:6], ["full", "−CR", "−RR −CC"]  # a target behind each
    assert [line.get_label() for line in lines[1::2]] == rows
    assert [text.get_text() for text in ax.get_yticklabels()] == rows
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["target"]
    bases = [line.get_ydata() - trials.targets[2, :, 1] for line in lines[::2]]
    np.testing.assert_allclose(bases, [[base[0]] * 8 for base in bases], atol=1e-6)
    pairs = zip(lines[1::2], bases, strict=True)
    curves = {line.get_label(): line.get_ydata() - base for line, base in pairs}
    for (_, upper), (_, lower) in pairwise(zip(lines[::2], lines[1::2], strict=True)):
        assert upper.get_ydata().min() > lower.get_ydata().max()  # no row hides another
    full = networks[0].rollout(trials.inputs)[2, :, 1]
    np.testing.assert_allclose(curves["full"], full, atol=1e-6)
    W_hh = profiles[0].schur.ablated({"RR", "CC"})
    assert not np.array_equal(curves["full"], curves["−RR −CC"])
    ablated = type(networks[0])(
        W_hh.astype(np.float32), networks[0].W_xh, networks[0].W_hy
    ).rollout(trials.inputs)
    np.testing.assert_allclose(curves["−RR −CC"], ablated[2, :, 1], atol=1e-6)


def test_trajectories_have_the_users_time(networks):
    trials = TASK.trials(2, 1)
    ax = plotting.trajectories(networks[0], trials)
    assert (ax.get_xlabel(), ax.lines[0].get_xdata()[-1]) == ("step", 7)
    ax = plotting.trajectories(networks[0], trials, dt=20, unit="ms")
    assert (ax.get_xlabel(), ax.lines[0].get_xdata()[-1]) == ("time (ms)", 140)
    with pytest.raises(ValueError, match="dt must be the duration of a step in ms, got None"):
        plotting.trajectories(networks[0], trials, unit="ms")
    with pytest.raises(ValueError, match="dt must be greater than 0, got -1"):
        plotting.trajectories(networks[0], trials, dt=-1)


def test_trajectories_survive_a_network_that_diverges_and_trials_without_targets(networks):
    relu = replace(networks[0], W_hh=40 * networks[0].W_hh, cell=Cell("relu"))
    trials = Trials(np.ones((1, 30, 3), np.float32))
    ax = plotting.trajectories(relu, trials)
    assert np.isfinite(ax.get_ylim()).all()
    assert ax.get_legend() is None


def test_profiles_that_do_not_belong_together_are_refused(profiles, copy_profiles, networks):
    with pytest.raises(ValueError, match="same measure"):
        plotting.value_bars([profiles[0], copy_profiles[0]])
    fewer = ablate(networks[0], TASK.trials(5, 0), ablations=["CR"])
    with pytest.raises(ValueError, match="same ablations"):
        plotting.value_bars([profiles[0], fewer])
    with pytest.raises(ValueError, match="at least one profile"):
        plotting.change_bars([])
    with pytest.raises(ValueError, match="profiles must be of an accuracy, got 'fvu'"):
        plotting.accuracy_per_lag(profiles)


def test_importing_the_package_loads_none_of_the_extras():
    extras = ("matplotlib", "pandas", "click", "rich", "torch", "jinja2")
    code = f"import schurscope, sys; sys.exit(any(name in sys.modules for name in {extras}))"
    assert subprocess.run([sys.executable, "-c", code], timeout=600).returncode == 0


def test_figures_say_what_to_install_when_matplotlib_is_missing():
    code = "import sys; sys.modules['matplotlib'] = None; import schurscope.plotting"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert 'ImportError: figures need matplotlib: pip install "schurscope[app]"' in result.stderr
