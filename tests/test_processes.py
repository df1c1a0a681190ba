"""Long calls of the core in a process that is interrupted, and in one that was forked."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_ends_a_long_call(call):
    script = INTERRUPTED.format(call=CALLS[call])
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_computes_the_same():
    # Python itself warns that its threads are not copied; ours have all ended.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
