"""The command line: output, files, errors and interruption."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from click.testing import CliRunner

import reference
import schurscope
from frameworks import framework
from schurscope import Network, ablate
from schurscope.cli import main
from schurscope.reproduce import paper_sweep
from schurscope.sweep import plan
from schurscope.trials.tasks import Copy, FlipFlop
from small_sweeps import done, records

# A parent that ignores Ctrl-C, such as a shell in the background, must not pass that on.
CODE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from schurscope.cli import main
main(prog_name="schurscope")
"""
COMMAND = [sys.executable, "-c", CODE]
SMALL = ["--hidden", "12", "--epochs", "1", "--batches-per-epoch", "30"]


def call(*arguments):
    """The result; its `output` holds both streams in all releases of Click."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=600, **options
    )


def wait_until(condition, process, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A flip-flop network trained by the command line, and what it said."""
    path = tmp_path_factory.mktemp("trained") / "flipflop.npz"
    result = call("train", "flip-flop", *SMALL, "--set", "n_steps=12", "--seed", 3, "--out", path)
    assert result.exit_code == 0, result.output
    return path, result.output


def test_help_shows_an_example_for_every_command():
    top = call("--help").output
    assert "schurscope reproduce --quick" in top
    assert "schurscope train flip-flop --out flipflop.npz\n" in top
    for command in ("train", "ablate"):
        text = call(command, "--help").output
        assert "Example" in text
        assert f"schurscope {command} " in text
    assert "[default: 6; with --quick 2]" in " ".join(call("reproduce", "--help").output.split())


def test_version_and_info():
    assert schurscope.__version__ in call("--version").output
    text = call("info").output
    for part in (schurscope.__version__, np.__version__, schurscope._core.LEVEL, "threads"):
        assert part in text


def test_train_writes_a_network_and_its_settings(trained):
    path, output = trained
    network = Network.load(path)
    assert (network.n_hidden, network.n_inputs, network.dtype) == (12, 3, np.float32)
    settings = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(settings["loss"]) == 30
    assert settings["seed"] == 3
    assert "n_steps=12" in settings["task"]
    assert str(path) in output
    assert {item.name for item in path.parent.iterdir()} == {"flipflop.npz", "flipflop.json"}


def test_training_again_gives_the_same_network(trained, tmp_path):
    call(
        "train",
        "flip-flop",
        *SMALL,
        "--set",
        "n_steps=12",
        "--seed",
        3,
        "--out",
        tmp_path / "b.npz",
    )
    assert np.array_equal(Network.load(tmp_path / "b.npz").W_hh, Network.load(trained[0]).W_hh)


@pytest.mark.parametrize("recurrent", ["cayley", "normal"])
def test_train_options_reach_the_training(tmp_path, recurrent):
    path = tmp_path / "net.npz"
    options = ["--recurrent", recurrent, "--dtype", "float64", "--optimizer", "adamw"]
    options += ["--weight-decay", 0.1, "--clip", 0.5, "--learning-rate", 0.01]
    options += ["--final-learning-rate", 0.001]
    options += ["--form", "current", "--readout", "hidden", "--leak", 0.5]
    result = call("train", "copy", *SMALL, *options, "--set", "horizon=3", "--out", path)
    assert result.exit_code == 0, result.output
    network = Network.load(path)
    assert network.dtype == np.float64
    assert network.cell == schurscope.Cell(form="current", leak=0.5, readout="hidden")
    assert (network.cayley is not None) == (recurrent == "cayley")
    settings = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    expected = {"optimizer": "adamw", "weight_decay": 0.1, "clip": 0.5, "learning_rate": 0.01}
    expected["final_learning_rate"] = 0.001
    assert {name: settings[name] for name in expected} == expected


def test_train_takes_gated_cells(tmp_path):
    path = tmp_path / "gru.npz"
    gated = ["--kind", "gru", "--reset", "before"]
    result = call("train", "flip-flop", *SMALL, *gated, "--out", path)
    assert result.exit_code == 0, result.output
    assert Network.load(path).cell == schurscope.Cell(kind="gru", reset="before")
    wrong = call("train", "flip-flop", *SMALL, *gated, "--leak", 0.5, "--out", tmp_path / "no.npz")
    assert wrong.exit_code != 0
    assert "leak must be left out for --kind gru" in wrong.output
    assert not (tmp_path / "no.npz").exists()


def test_ablate_prints_the_profile_with_intervals(trained):
    options = ["--task", "flip-flop", "--n-trials", 300, "--ablation", "CR", "--ablation", "RR+CC"]
    text = call("ablate", trained[0], *options).output
    lines = [line.split() for line in text.splitlines()]
    rows = {line[0]: line for line in lines if line and line[0] in ("full", "CR", "RR+CC")}
    assert set(rows) == {"full", "CR", "RR+CC"}
    value, low, high = (float(rows["CR"][place]) for place in (1, 2, 4))
    assert low < value < high
    assert schurscope.coordinates.orders.TIE_RULE in text


def test_ablate_leaves_tables_and_figures(trained, tmp_path):
    out = tmp_path / "deep" / "profile"
    options = ["--task", "flip-flop", "--n-trials", 200, "--seed", 5, "--alpha", 0.7, "--out", out]
    result = call("ablate", trained[0], *options)
    assert result.exit_code == 0, result.output
    stems = ("schur_matrix", "spectrum", "change", "trajectories")
    figures = {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "pdf")}
    assert {path.name for path in out.iterdir()} == {"profile.csv", "settings.json"} | figures
    # The numbers are those of the library, on the evaluation stream of the seed.
    stream = np.random.default_rng(np.random.SeedSequence(5).spawn(4)[2])
    trials = FlipFlop().trials(200, stream, np.float32)
    profile = ablate(Network.load(trained[0]), trials, alpha=0.7)
    with open(out / "profile.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["name"] for row in rows] == list(profile.names)
    assert [float(row["change"]) for row in rows] == profile.change.tolist()
    settings = json.loads((out / "settings.json").read_text(encoding="utf-8"))
    assert (settings["seed"], settings["alpha"], settings["n_trials"]) == (5, 0.7, 200)


def test_ablate_measures_accuracy_on_the_copy_task(tmp_path):
    task = Copy(2, 2, 4)
    network = schurscope.init_network(task, 8, "normal", 1)
    network.save(tmp_path / "net.npz")
    parameters = ["--set", "n_symbols=2", "--set", "dimension=2", "--set", "horizon=4"]
    options = ["--task", "copy", *parameters, "--out", tmp_path / "out"]
    text = call("ablate", tmp_path / "net.npz", *options).output
    assert "replay_accuracy over 2048 trials of 6 steps" in text
    assert text.count("vacuous") == 8
    assert (tmp_path / "out" / "accuracy_per_lag.png").exists()


@pytest.fixture
def elsewhere(tmp_path):
    """A PyTorch model with two readouts, and trials of its own with time first."""
    torch = framework("torch")
    torch.manual_seed(1)
    rnn, fc = torch.nn.RNN(3, 10, nonlinearity="relu"), torch.nn.Linear(10, 2)
    model = torch.nn.ModuleDict({"rnn": rnn, "policy": fc, "value": torch.nn.Linear(10, 1)})
    torch.save(model.state_dict(), tmp_path / "model.pt")
    x = torch.randn(20, 40, 3)
    with torch.no_grad():
        outputs = fc(rnn(x)[0])
    targets = outputs + 0.01 * torch.randn(20, 40, 2)
    np.savez(tmp_path / "trials.npz", inputs=x.numpy(), targets=targets.numpy())
    np.save(tmp_path / "outputs.npy", outputs.numpy())
    return tmp_path


def test_ablate_takes_a_network_and_trials_from_elsewhere(elsewhere):
    out = elsewhere / "report"
    options = ["--trials", elsewhere / "trials.npz", "--axes", "TBF", "--out", out]
    options += ["--activation", "relu", "--key", "W_hy=policy.weight", "--format", "torch"]
    result = call("ablate", elsewhere / "model.pt", *options)
    assert result.exit_code == 0, result.output
    assert "fvu over 40 trials of 20 steps, float32" in result.stdout
    assert "note: assumed --form rate, --leak 1.0, --output identity: the" in result.output
    settings = json.loads((out / "settings.json").read_text(encoding="utf-8"))
    assert settings["imported"]["mapped"]["W_hh"] == "rnn.weight_hh_l0"
    assert settings["trials"] == str(elsewhere / "trials.npz")
    # The module is the oracle: its own error on these trials.
    with open(out / "profile.csv", newline="", encoding="utf-8") as stream:
        full = next(csv.DictReader(stream))
    targets, outputs = (
        np.load(elsewhere / "trials.npz")["targets"],
        np.load(elsewhere / "outputs.npy"),
    )
    wanted = reference.fvu(outputs, targets, np.ones((20, 40)))
    assert float(full["value"]) == pytest.approx(wanted, rel=1e-4)
    both = call("ablate", elsewhere / "model.pt", "--task", "sine", *options)
    assert both.exit_code == 2
    counted = call("ablate", elsewhere / "model.pt", "--n-trials", 3, *options)
    assert "--n-trials and --set belong to --task" in counted.output


def test_ablate_takes_other_cells(network, tmp_path):
    cell = schurscope.Cell("softplus", "current", 0.2, noise=0.1)
    weights = (network.W_hh, network.W_xh, network.W_hy)
    schurscope.Network(*weights, cell=cell).save(tmp_path / "net.npz")
    x = np.random.default_rng(0).standard_normal((9, 12, 3))
    np.savez(tmp_path / "trials.npz", x=x, y=x[..., :2])
    options = ["--trials", tmp_path / "trials.npz", "--order", "leaky_modulus"]
    first = call("ablate", tmp_path / "net.npz", *options)
    assert first.exit_code == 0, first.output
    again = call("ablate", tmp_path / "net.npz", *options, "--out", tmp_path / "out")
    assert again.output.startswith(first.output)  # the noise comes from the seed
    assert (tmp_path / "out" / "trajectories.png").exists()
    hyphens = ["leaky-modulus" if option == "leaky_modulus" else option for option in options]
    assert call("ablate", tmp_path / "net.npz", *hyphens).output == first.output
    wrong = call("ablate", tmp_path / "net.npz", *options[:2], "--order", "leaky")
    assert wrong.exit_code == 2
    assert "order must be one of" in " ".join(wrong.output.split())


def test_info_tells_what_is_in_a_network(elsewhere, trained):
    text = call("info", elsewhere / "model.pt", "--key", "W_hy=value.weight").output
    assert "  W_hh = rnn.weight_hh_l0" in text
    assert "  ignored: policy.weight (float32 (2, 10), not part of the network)" in text
    assert "  note: assumed --activation tanh" in text
    ambiguous = call("info", elsewhere / "model.pt")
    assert ambiguous.exit_code == 1
    assert (
        "policy.weight (2, 10), value.weight (1, 10); name it with --key W_hy=" in ambiguous.output
    )
    assert "from schurscope" in call("info", trained[0]).output


def test_one_of_several_gated_layers(tmp_path, rng):
    path, arrays = tmp_path / "gru.npz", {"readout.weight": rng.standard_normal((2, 4))}
    for layer, n_inputs in (("l0", 3), ("l1", 4)):
        arrays[f"rnn.weight_hh_{layer}"] = rng.standard_normal((12, 4))
        arrays[f"rnn.weight_ih_{layer}"] = rng.standard_normal((12, n_inputs))
    np.savez(path, **arrays)
    ambiguous = call("info", path)
    assert ambiguous.exit_code == 1
    assert "Choose one with --layer rnn.l0 or --layer rnn.l1 to import it alone" in ambiguous.output
    text = call("info", path, "--layer", "l1").output
    assert "Cell(kind='gru', reset='after'" in text
    assert "  W_hh = rnn.weight_hh_l1 (r, z, n)" in text
    keras = {"layers/gru/cell/kernel": np.ones((3, 12)), "layers/dense/kernel": np.ones((4, 2))}
    np.savez(path, **keras, **{"layers/gru/cell/recurrent_kernel": np.ones((4, 12))})
    assert "does not state its reset; give --reset, which is" in call("info", path).output
    assert "reset='before'" in call("info", path, "--reset", "before").output


def test_networks_under_names_of_ones_own(tmp_path, rng):
    """Saved for x @ W, under other names, with a nonlinear readout, and judged by saved trials."""
    R, into, out = (rng.standard_normal(shape) / 3 for shape in ((10, 10), (3, 10), (10, 2)))
    path = tmp_path / "own.npz"
    np.savez(path, R=R, I=into, O=out, b=np.ones((1, 10)), alpha=0.2)
    unnamed = call("info", path)
    assert unnamed.exit_code == 1
    assert "--key W_hh=R --key W_xh=… --key W_hy=…" in unnamed.output
    keys = ["--key", "W_hh=R.T", "--key", "W_xh=I.T", "--key", "W_hy=O.T"]
    text = call("info", path, *keys).output
    assert "  W_hh = Rᵀ" in text
    assert "left out: b (1, 10); " in text
    assert "name them with --key b_h=b\n" in text
    assert "  note: assumed --leak 1.0, though the source has alpha = 0.2, " in text
    cell = ["--activation", "relu", "--leak", 0.2, "--output", "sigmoid", "--noise", 0.1]
    options = [*keys, "--key", "b_h=b", *cell, "--dtype", "float32"]
    wanted = schurscope.Cell("relu", leak=0.2, output="sigmoid", noise=0.1)
    read = call("info", path, *options, "--form", "current", "--readout", "hidden").output
    assert "noise=0.1, readout='hidden')\n" in read
    text = call("info", path, *options).output
    assert "\nNetwork(N_h=10, N_x=3, N_y=2, b_h, " in text
    assert f"float32) from arrays\n  {wanted}\n" in text
    x, y = rng.standard_normal((20, 8, 3)), rng.standard_normal((20, 8, 2))
    schurscope.Trials(x, y).save(tmp_path / "trials.npz")
    result = call("ablate", path, *options, "--trials", tmp_path / "trials.npz")
    assert result.exit_code == 0, result.output
    assert "fvu over 20 trials of 8 steps, float32" in result.stdout


USAGE = [
    (["train", "flipflop"], "did you mean 'flip-flop'"),
    (["train", "sine", "--set", "n_step=5"], "NAME among n_steps, got 'n_step=5'"),
    (["train", "sine", "--set", "n_steps=five"], "n_steps must be an integer, got 'five'"),
    (["train", "sine", "--out", "net.txt"], "must end in .npz"),
    (["train", "sine", "--out", "nowhere/net.npz"], "the folder nowhere does not exist"),
    (["train", "sine", "--hidden", "many"], "'many' is not a valid integer"),
    (["ablate", "nowhere.npz", "--task", "sine"], "nowhere.npz"),
    (["ablate", ".", "--axes", "TBF"], "give either --task NAME or --trials FILE"),
    (["ablate", ".", "--task", "sine", "--axes", "TBF"], "--axes belongs to --trials FILE"),
    (["ablate", ".", "--task", "sine", "--key", "W=a"], "PART among W_hh, W_xh, W_hy, b_h"),
    (["ablate", ".", "--task", "sine", "--format", "onnx"], "'onnx' is not one of"),
    (["info", "nowhere.pt"], "nowhere.pt"),
    (["reproduce", "copi"], "'copi' is not one of"),
    (["reproduce", "--seeds", "0"], "0 is not in the range"),
    (["diagnose", ".", "--task", "sine", "--report", "net.npz"], "must end in .html, got net.npz"),
    (["nonsense"], "No such command 'nonsense'"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE)
def test_usage_errors_exit_with_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not list(tmp_path.iterdir())


def test_errors_are_one_line_without_traceback(trained, tmp_path):
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(trained[0].read_bytes()[:-300])
    file = tmp_path / "file"
    file.write_text("mine")
    for arguments, message in (
        (["ablate", damaged, "--task", "flip-flop"], "damaged"),
        (["ablate", trained[0], "--task", "flip-flop", "--alpha", 2], "--alpha must be in (0, 1]"),
        (["ablate", trained[0], "--task", "flip-flop", "--ablation", "RC"], "--ablation must be"),
        (
            ["ablate", trained[0], "--task", "flip-flop", "--out", file / "in"],
            "in: Not a directory",
        ),
        (["train", "sine", "--hidden", 0, "--out", tmp_path / "a.npz"], "--hidden must be at leas"),
        (
            ["train", "sine", *SMALL, "--learning-rate", -1, "--out", tmp_path / "a.npz"],
            "--learning-rate must be greater than 0",
        ),
        (["reproduce", "--quick", "--out", file], "out must be a folder, got the file"),
        (["reproduce", "--quick", "--out", file / "inside"], "can be written to"),
    ):
        result = run(*arguments)
        assert result.returncode == 1, result
        assert "Traceback" not in result.stdout + result.stderr
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error")]
        assert message in line
    mismatch = run("ablate", trained[0], "--task", "sine")
    assert mismatch.returncode == 2
    assert (
        "has 3 inputs and 3 outputs, but SineGeneration(n_steps=50) has 1 and 1" in mismatch.stderr
    )


GATES = [
    (["ablate", "gru.npz", "--gate", "q"], "--gate must be one of 'r', 'z', 'n', got 'q'"),
    (["ablate", "gru.npz", "--gate", "n", "--gate", "n"], "--gate must name each gate once"),
    (["ablate", "gru.npz", "--gate", "n", "--ablation", "z:CR"], "only couplings beside --gate"),
    (["ablate", "rnn.npz", "--gate", "n"], "--gate belongs to gated networks"),
    (["diagnose", "rnn.npz", "--gate", "n"], "--gate belongs to gated networks"),
    (["diagnose", "gru.npz", "--gate", "q"], "--gate must be one of 'r', 'z', 'n', got 'q'"),
]


@pytest.mark.parametrize(("arguments", "message"), GATES)
def test_gates_that_a_network_lacks_are_told(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, cell in (("gru", "gru"), ("rnn", None)):
        schurscope.init_network(FlipFlop(), 6, rng=0, cell=cell).save(f"{name}.npz")
    result = call(*arguments, "--task", "flip-flop")
    assert result.exit_code != 0
    assert message in result.output
    assert sorted(os.listdir()) == ["gru.npz", "rnn.npz"]


def test_a_narrow_console_shortens_no_number(trained):
    arguments = ("--task", "flip-flop", "--n-trials", 20, "--ablation", "RR+CR+CC")
    result = run("ablate", trained[0], *arguments, env={**os.environ, "COLUMNS": "30"})
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("RR+CR+CC ")]
    assert len(row.replace(" … ", "…").split()) == 7
    assert "…" not in row.replace(" … ", "")


def test_figures_are_missed_before_the_work(trained, tmp_path):
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from schurscope.cli import main; main(prog_name='schurscope')"
    )
    for command in ("ablate", "diagnose"):
        words = [command, trained[0], "--task", "flip-flop", "--out", tmp_path / "out"]
        process = [sys.executable, "-c", code, *map(str, words)]
        result = subprocess.run(process, capture_output=True, text=True, timeout=600)
        assert result.returncode == 1
        assert result.stderr.endswith(
            'Error: figures need matplotlib: pip install "schurscope[app]"\n'
        )
        assert not result.stdout
        assert not (tmp_path / "out").exists()


def test_python_runs_the_package_as_the_command():
    process = [sys.executable, "-m", "schurscope", "--version"]
    result = subprocess.run(process, capture_output=True, text=True, timeout=600)
    assert result.stdout == f"schurscope, version {schurscope.__version__}\n"


def test_the_command_says_what_to_install_when_click_is_missing():
    code = "import sys; sys.modules['click'] = None; import schurscope.cli"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 1
    assert 'pip install "schurscope[app]"' in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def keyboard():
    """Ctrl-C as at a terminal; a shell starts its background jobs with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("keyboard")
def test_ctrl_c_ends_a_training_at_once_and_leaves_nothing(tmp_path):
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    out = tmp_path / "net.npz"
    # Which would take hours.
    result = call("train", "copy", "--epochs", 100000, "--hidden", 72, "--out", out)
    assert result.exit_code == 130
    assert result.output.splitlines()[-1] == "interrupted"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_ctrl_c_keeps_finished_jobs_and_a_rerun_continues(tmp_path):
    out = tmp_path / "results"
    command = [*COMMAND, "reproduce", "--quick", "--seeds", "12", "--jobs", "1", "--out", str(out)]
    with open(tmp_path / "log", "w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(lambda: done(out / "store") >= 2, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=600) == 130
        log.seek(0)
        text = log.read()
    assert "Traceback" not in text
    assert text.splitlines()[-1].startswith("interrupted: finished networks are kept in")
    finished = {path.stem for path in records(out / "store")}
    assert 2 <= len(finished) < 60
    # Nothing half-written: whole files under final names only, and no report.
    for path in (path for path in out.rglob("*") if path.is_file()):
        assert not path.name.startswith(".")
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        if path.name.endswith("-network.npz"):
            Network.load(path)
    assert not (out / "report.json").exists()

    again = run("reproduce", "copy", "--quick", "--seeds", "2", "--out", out)
    assert again.returncode == 0
    wanted = {job.key for job in plan(paper_sweep("copy", seeds=2, is_quick=True))}
    reused = len(finished & wanted)
    assert ("jobs were there already" in again.stdout) == (reused > 0)
    assert reused == 0 or f"{reused} of 4 jobs were there already" in again.stdout
    assert (out / "report.json").exists()


def test_a_closed_pipe_is_no_traceback(trained):
    read, write = os.pipe()
    os.close(read)
    arguments = ["ablate", str(trained[0]), "--task", "flip-flop", "--n-trials", "50"]
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    _, errors = process.communicate(timeout=600)
    assert "Traceback" not in errors


@pytest.fixture
def own(tmp_path, rng):
    """A file whose entries have names of their own."""
    shapes = {"R": (6, 6), "w_in": (3, 6), "w_out": (6, 2)}
    arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    np.savez(tmp_path / "own.npz", **arrays, w_out_scale=np.array([4.23]), kind="relu")
    return tmp_path / "own.npz"


KEYS = ("--key", "W_hh=R", "--key", "W_xh=w_in.T")


def test_info_lists_the_content_of_what_is_no_network(own, tmp_path):
    listed = [
        f"{own} holds 5 entries",
        "  R            float64 (6, 6)",
        "  w_out_scale  float64 (1,)",
        "  kind         'relu'",
    ]
    for options in ((), ("--key", "W_hh=X"), (*KEYS, "--key", "W_hy=w_out.T")):
        told = call("info", own, *options)
        assert told.exit_code == (0 if len(options) > 2 else 1)
        assert set(listed) <= set(told.stdout.splitlines())
    (tmp_path / "some.json").write_text('{"list": [[1, 2], [3]], "n": 2, "none": null}')
    told = call("info", tmp_path / "some.json")
    assert told.exit_code == 1
    assert "  list.0  int64 (2,)\n" in told.stdout
    assert "  n       2\n" in told.stdout
    assert "has no W_hh and no W_xh" in told.output
    (tmp_path / "damaged").write_bytes(b"nothing")
    assert "damaged or of no known format" in call("info", tmp_path / "damaged").output


def test_a_tensorflow_checkpoint_is_named_as_tensorflow_does(tmp_path):
    (tmp_path / "model.ckpt.index").write_bytes(b"x")
    assert "model.ckpt.index is damaged or of no" in call("info", tmp_path / "model.ckpt").output
    assert "does not exist" in call("info", tmp_path / "other.ckpt").output


def test_messages_name_options(own, tmp_path, rng):
    unnamed = call("info", own).output
    assert "with --key W_hh=R --key W_xh=w_in.T --key W_hy=w_out.T, and b_h" in unnamed
    scaled = call("info", own, *KEYS, "--key", "W_hy=w_out.T").stdout
    assert "name the product: --key 'W_hy=(w_out * w_out_scale).T'\n" in scaled
    assert "give --activation to settle it" in scaled
    for command in (("info", own), ("ablate", own, "--task", "flip-flop")):
        wrong = call(*command, *KEYS, "--key", "W_hy=(w_out * 2")
        assert wrong.exit_code == 1
        assert "'(w_out * 2': expected ')', at its end (position 10)" in wrong.output
        size = call(*command, "--key", "W_hh=R[:n_y]", "--key", "W_xh=w_in.T")
        assert "n_y is not known; give it with --key n_y=…\n" in size.output
    weights = {"W_in": rng.standard_normal((6, 3)), "W_rec": np.eye(6), "init_state": np.ones(6)}
    np.savez(tmp_path / "psychrnn.npz", **weights, W_out=np.ones((2, 6)))
    path = tmp_path / "psychrnn.npz"
    for options, told in (
        ((), "does not state its leak; give --leak, which is alpha = dt / tau there"),
        (("--leak", "0.1", "--form", "rate"), "states --form current, got --form rate"),
    ):
        for command in (("info", path), ("ablate", path, "--task", "flip-flop")):
            assert told in call(*command, *options).output
    given = call("info", own, *KEYS, "--key", "W_hy=w_out[:, :n_y].T", "--key", "n_y=1")
    assert "N_y=1" in given.stdout
