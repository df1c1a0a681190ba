"""Long calls of the core in a process that is interrupted, and in one that was forked."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import schurscope
import threaded
from schurscope._internal.frozen import computed_once

CALLS = {
    "rollout": "network.rollout(trials.inputs, n_threads=2)",
    "sweep": "ss.ablate(network, trials, n_threads=2)",
    "train": "ss.train(network, task, epochs=10000, batch_size=256, rng=0)",
}

INTERRUPTED = """
import os, signal, sys, threading
import schurscope as ss

signal.signal(signal.SIGINT, signal.default_int_handler)
task = ss.tasks.SineGeneration(n_steps=400)
network = ss.init_network(task, 512, rng=0)
trials = task.trials(4000, rng=1)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    {call}
except KeyboardInterrupt:
    # The core works on after it was interrupted.
    assert abs(network.rollout(trials.inputs[:2, :3])).max() > 0
    sys.exit(0)
sys.exit("was not interrupted")
"""

FORKED = """
import os, sys
import schurscope as ss

task = ss.tasks.FlipFlop()
network = ss.init_network(task, 40, rng=0)
trials = task.trials(200, rng=1)

def run():
    trained = ss.train(network, task, epochs=1, batches_per_epoch=5, rng=2).network
    return ss.ablate(trained, trials, n_threads=2).per_trial.tobytes()

before = run()
child = os.fork()
if child == 0:
    os._exit(0 if run() == before else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or run() != before)
"""

FORKED_AMID_THREADS = """
import os, signal, sys, threading
import schurscope as ss

task = ss.tasks.FlipFlop(n_steps=8)
network = ss.init_network(task, 8, rng=0)
trials = task.trials(8, rng=1)
over = threading.Event()
sweep = ss.Sweep(tasks=[task], widths=[8], seeds=3)

def run():
    jobs = [(job.key, job.cost) for _ in range(20) for job in ss.sweep.plan(sweep)]
    return jobs, ss.ablate(network, task.trials(8, rng=1)).per_trial.tobytes()

def keep_running():
    while not over.is_set():
        run()

before = run()
sys.setswitchinterval(1e-5)
threads = [threading.Thread(target=keep_running) for _ in range(3)]
for thread in threads:
    thread.start()
failed = 0
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a deadlock ends
        os._exit(0 if run() == before else 1)
    failed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
over.set()
sys.exit(failed)
"""

FORKED_AMID_AN_IMPORT = """
import os, signal, sys, threading
import schurscope as ss

task = ss.tasks.FlipFlop(n_steps=8)
network = ss.init_network(task, 8, rng=0)
trials = task.trials(8, rng=1)

def run():
    return ss.ablate(network, trials).per_trial.tobytes()

assert "scipy.linalg" not in sys.modules
thread = threading.Thread(target=run)
sys.setswitchinterval(1e-5)
thread.start()
while "scipy.linalg" not in sys.modules:
    pass
child = os.fork()
if child == 0:
    signal.alarm(30)  # a deadlock ends
    run()
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
thread.join()
sys.exit(status)
"""


@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_ends_a_long_call(call):
    script = INTERRUPTED.format(call=CALLS[call])
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(
    "script",
    [FORKED, FORKED_AMID_THREADS, FORKED_AMID_AN_IMPORT],
    ids=["after", "amid threads", "amid an import"],
)
def test_a_forked_process_computes_the_same(script):
    # Python itself warns that its threads are not copied; ours have all ended.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stderr


def test_many_threads_compute_what_one_does():
    threaded.main()


def test_the_package_computes_nothing_under_a_lock_that_a_fork_would_copy():
    """As functools.cached_property does until Python 3.12."""
    package = Path(schurscope.__file__).parent
    users = [p for p in package.rglob("*.py") if "import cached_property" in p.read_text("utf-8")]
    assert users == []


def test_a_value_is_computed_once():
    class Doubled:
        calls = 0

        @computed_once
        def value(self):
            """The value."""
            Doubled.calls += 1
            return 2

    one = Doubled()
    assert (one.value, one.value, Doubled.calls, Doubled.value.__doc__) == (2, 2, 1, "The value.")
    assert pickle.loads(pickle.dumps(vars(one))) == {"value": 2}
