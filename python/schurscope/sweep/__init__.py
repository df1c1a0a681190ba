r"""Thousands of networks: train and take apart every task × width × construction × seed.

A sweep is a dataclass and a TOML file of the same keys::

    # widths.toml
    widths = [32, 64, 128]
    constructions = ["orthogonal", "cayley"]
    seeds = 20                      # 0 … 19, or a list
    alphas = [0.85, 0.9, 0.95]
    ablations = ["RR", "CR", "CC"]  # all subsets if not given
    evaluation_trials = 2048

    [training]                      # options of schurscope.train
    epochs = 30

    [cell]                          # h = tanh(…) if not given
    activation = "relu"
    leak = 0.2

    [[tasks]]
    task = "flip-flop"

    [[tasks]]
    task = "copy"
    horizon = 16                    # parameters of the task …
    evaluation.horizon = 128        # … and what is different when it is judged
    training = { optimizer = "adamw", weight_decay = 0.01, epochs = 250, batches_per_epoch = 100 }
    gate = 0.95                     # below this accuracy a network is kept and marked

On the command line::

    schurscope sweep plan widths.toml                      # what it would do
    schurscope sweep run widths.toml --store results       # do what is missing, on all processors
    schurscope sweep status widths.toml --store results    # at any time, from anywhere
    schurscope sweep missing widths.toml --store results   # which jobs, and why
    schurscope sweep collect widths.toml --store results --out table.parquet
    schurscope sweep plot widths.toml --store results --out figures

on a Dask cluster that is there, whose workers see the same folder, or on Dask on this machine::

    schurscope sweep run widths.toml --store /shared/results --dask tcp://scheduler:8786
    schurscope sweep run widths.toml --store results --dask local

and in Python::

    import schurscope as ss

    sweep = ss.Sweep(tasks=[ss.tasks.FlipFlop()], widths=[32, 64], seeds=20)
    if __name__ == "__main__":  # which worker processes need
        ss.sweep.run(sweep, "results", n_workers=2)
        rows = ss.sweep.collect(sweep, "results").rows
        print(ss.sweep.summarize(rows, "change"))

A job, one network, is known by the hash of all that decides its numbers: its configuration, the
package's version and the instruction-set level. A job that is in the store is never done again, so
`run` may be killed at any time and started again, by many processes at once, and a sweep that is
given another width or another seed runs the new jobs only. All random numbers come from one
SeedSequence, whose child a job is by its task, width, construction and seed.

A task of your own is an object with ``name``, ``n_inputs``, ``n_outputs`` and ``trials(n_trials,
rng, dtype)``, best a frozen dataclass in a module: jobs are known by its repr and import path, and
it is pickled for the workers, which must be able to import the module, too. In Python it stands
where the package's tasks do. A file names it by module and name, which may be the object, its class
or a function; ``PYTHONPATH=. schurscope sweep run …`` finds modules in the current folder::

    [[tasks]]
    task = "my_module:MyTask"
    n_steps = 40                    # MyTask(n_steps=40)

It is judged by the measure that its attribute ``measure`` names, or by FVU. A change of its code
leaves the hash as it was: name the task anew then, or choose another folder.

A worker that dies takes its one job with it, which is tried again, three times at most. A job that
fails is recorded with its traceback and left alone until ``run --retry-failed``. The first Ctrl-C
lets running batches, of a second or one job, end.

On a Slurm cluster
------------------
Without a server: an array of jobs, each with a share of the plan, all into one store on a file
system that they share. Processes that do not know of each other never do the same job, so the same
array can be submitted again for what is missing, or with more members. ``--stop-after`` begins no
job that late; a SIGTERM lets running jobs end::

    #!/bin/bash
    #SBATCH --array=0-99 --ntasks=1 --cpus-per-task=4 --time=01:00:00
    schurscope sweep run widths.toml --store /shared/results \
        --shard "$SLURM_ARRAY_TASK_ID/100" --workers "$SLURM_CPUS_PER_TASK" --stop-after 50m

With dask-jobqueue, which asks for nodes as they are needed. Workers must end before Slurm ends
them, or their jobs are charged with the death; ``--lifetime`` sees to it, less the longest job::

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

All nodes of a sweep train on one instruction-set level, since another rounds differently: on mixed
nodes set ``SCHURSCOPE_SIMD`` to a level that all of them have, for the first run as well.
"""

from .checks import SweepError
from .collect import Collection, collect, save_table
from .config import Sweep, SweepTask
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
    "dask_executor",
    "effects",
    "load_result",
    "paired_differences",
    "plan",
    "run",
    "save_table",
    "shard",
    "summarize",
]
