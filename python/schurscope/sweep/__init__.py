r"""Thousands of networks: train and ablate every task × width × construction × seed.

A sweep is a dataclass, or a TOML file with the same keys::

    # widths.toml
    widths = [32, 64, 128]
    constructions = ["orthogonal", "cayley"]
    seeds = 20                      # 0 … 19; or a list
    alphas = [0.85, 0.9, 0.95]
    ablations = ["RR", "CR", "CC"]  # default: all subsets
    evaluation_trials = 2048

    [training]                      # options of schurscope.train
    epochs = 30

    [cell]                          # default: h = tanh(…)
    activation = "relu"
    leak = 0.2

    [[tasks]]
    task = "flip-flop"

    [[tasks]]
    task = "copy"
    horizon = 16                    # parameters of the task,
    evaluation.horizon = 128        # and those that differ in evaluation
    training = { optimizer = "adamw", weight_decay = 0.01, epochs = 250, batches_per_epoch = 100 }
    gate = 0.95                     # networks below this accuracy are kept, but flagged

On the command line::

    schurscope sweep plan widths.toml                      # show the jobs
    schurscope sweep run widths.toml --store results       # run missing jobs, on all processors
    schurscope sweep status widths.toml --store results    # progress, from any machine
    schurscope sweep missing widths.toml --store results   # unfinished jobs, and why
    schurscope sweep collect widths.toml --store results --out table.parquet
    schurscope sweep plot widths.toml --store results --out figures

on an existing Dask cluster whose workers share the folder, or on a local one::

    schurscope sweep run widths.toml --store /shared/results --dask tcp://scheduler:8786
    schurscope sweep run widths.toml --store results --dask local

and in Python::

    import schurscope as ss

    sweep = ss.Sweep(tasks=[ss.tasks.FlipFlop()], widths=[32, 64], seeds=20)
    if __name__ == "__main__":  # required by worker processes
        ss.sweep.run(sweep, "results", n_workers=2)
        rows = ss.sweep.collect(sweep, "results").rows
        print(ss.sweep.summarize(rows, "change"))

With ``diagnose = true`` in the file, or ``ss.Sweep(diagnose=True)``, each job also diagnoses its
network at the first alpha (`schurscope.diagnose`) and keeps the diagnosis in the store::

    found = ss.sweep.collect(sweep, "results")
    print(found.diagnosis(found.jobs.iloc[0]))          # one network's page
    table = ss.sweep.diagnoses(found)                   # a row per network
    print(ss.sweep.removable_shares(table))
    print(ss.sweep.summarize_cuts(ss.sweep.cut_curves(found), by="from_gap"))

``diagnose = "cuts"`` only runs and keeps each network's cut curve (`ss.cut_curve`).

A job trains and ablates one network. It is identified by the hash of everything that determines its
numbers: its configuration, the package version and the instruction-set level. Jobs in the store
never run again, so `run` can be killed at any time and resumed, many processes can share a sweep,
and a sweep extended by widths or seeds runs only the new jobs. All random numbers come from one
SeedSequence; each job's child of it depends on its task, width, construction and seed.

A custom task is an object with ``name``, ``n_inputs``, ``n_outputs`` and ``trials(n_trials, rng,
dtype)``, preferably a frozen dataclass: its repr and import path identify jobs, and it is pickled
for the workers, which must be able to import its module. In Python, use it like the package's own
tasks. A TOML file names it as "module:name", where the name is an object, a class or a function;
``PYTHONPATH=. schurscope sweep run …`` finds modules in the current folder::

    [[tasks]]
    task = "my_module:MyTask"
    n_steps = 40                    # MyTask(n_steps=40)

The task's attribute ``measure`` names the measure; the default is FVU. Changing the task's code
does not change the hash: rename the task, or use another folder.

A job whose worker dies is retried, up to three attempts in all. A job that raises an error is
recorded with its traceback and skipped until ``run --retry-failed``. The first Ctrl-C waits for
running batches, each about a second of work or one job.

On a Slurm cluster
------------------
Without a server, submit an array job: each element runs one shard of the plan, and all write to one
store on a shared file system. Independent processes never run the same job twice, so the array can
be resubmitted for missing jobs, or with more elements. After ``--stop-after`` no new job starts;
SIGTERM waits for running jobs::

    #!/bin/bash
    #SBATCH --array=0-99 --ntasks=1 --cpus-per-task=4 --time=01:00:00
    schurscope sweep run widths.toml --store /shared/results \
        --shard "$SLURM_ARRAY_TASK_ID/100" --workers "$SLURM_CPUS_PER_TASK" --stop-after 50m

dask-jobqueue requests nodes on demand. Workers must exit before Slurm kills them, or their jobs are
blamed for the death; set ``--lifetime`` to the wall time less the longest job::

    from dask.distributed import Client
    from dask_jobqueue import SLURMCluster
    import schurscope as ss

    sweep = ss.Sweep.load("widths.toml")
    cluster = SLURMCluster(
        cores=1, processes=1, memory="2GB", walltime="01:00:00",
        worker_extra_args=["--lifetime", "50m", "--lifetime-stagger", "5m"],
    )
    cluster.adapt(minimum=1, maximum=200)
    with Client(cluster) as client:
        executor = ss.sweep.DaskExecutor(client)
        ss.sweep.run(sweep, "/shared/results", executor=executor, capacity=executor.capacity)

All nodes of a sweep must train on one instruction-set level, since levels round differently: on a
mixed cluster set ``SCHURSCOPE_SIMD`` to a level that all nodes support, from the first run on.
"""

from .checks import SweepError
from .collect import Collection, collect, save_table
from .config import Sweep, SweepTask
from .diagnoses import (
    cut_curves,
    diagnoses,
    mass_by_kind,
    prediction_agreement,
    removable_against_width,
    removable_shares,
    summarize_cuts,
)
from .executors.dask import DaskExecutor, dask_executor
from .plan import Job, plan, shard
from .progress import Progress
from .run import run
from .statistics import against_width, effects, paired_differences, summarize
from .store.store import Store, StoreError
from .todo import Outcome, WorkerDied
from .work import JobResult, load_result

__all__ = [
    "Collection",
    "DaskExecutor",
    "Job",
    "JobResult",
    "Outcome",
    "Progress",
    "Store",
    "StoreError",
    "Sweep",
    "SweepError",
    "SweepTask",
    "WorkerDied",
    "against_width",
    "collect",
    "cut_curves",
    "dask_executor",
    "diagnoses",
    "effects",
    "load_result",
    "mass_by_kind",
    "paired_differences",
    "plan",
    "prediction_agreement",
    "removable_against_width",
    "removable_shares",
    "run",
    "save_table",
    "shard",
    "summarize",
    "summarize_cuts",
]
