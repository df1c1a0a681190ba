"""The command line: ``schurscope reproduce | train | ablate | sweep | info``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__, _core
from ._json import write_json
from .cell import ACTIVATIONS, FORMS, Activation, Cell, Form
from .construction import RECURRENT, init_network
from .tasks import Task
from .training import OPTIMIZERS, train

try:
    import click
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Table

    from ._cli_ablate import ablate_command
    from ._cli_options import (
        import_options,
        imported,
        named_task,
        streams_of,
        task_parameters,
        with_parameters,
    )
    from .sweep.command import sweep_command
except ImportError as error:
    raise SystemExit(
        f'the schurscope command needs {error.name}: pip install "schurscope[app]"'
    ) from error

INTERRUPTED = 130  # 128 + SIGINT, as shells count


class _Commands(click.Group):
    """Turns the package's own errors into one line, and Ctrl-C into exit code 130."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            raise
        except (ValueError, TypeError, FloatingPointError, OSError, ImportError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="schurscope")
def main() -> None:
    """Tell which Schur-coordinate couplings a trained recurrent network needs.

    \b
    See it at work, in under a minute:
      schurscope reproduce --quick
    Redraw the paper, a few minutes:
      schurscope reproduce
    Train a network of your own and take it apart:
      schurscope train flip-flop --out flipflop.npz
      schurscope ablate flipflop.npz --task flip-flop --out flipflop-ablation
    Or one trained elsewhere, on trials of your own:
      schurscope ablate model.pt --trials trials.npz --out report
    """  # noqa: D301 - click reads the backspace


@main.command()
@click.argument("groups", nargs=-1, type=click.Choice(["copy", "neuroscience"]))
@click.option(
    "--seeds", type=click.IntRange(1), help="Networks per experiment.  [default: 6; with --quick 2]"
)
@click.option("--quick", "is_quick", is_flag=True, help="Everything small: a check, not a result.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Output folder.  [default: schurscope-results, or schurscope-results-quick]",
)
@click.option(
    "--jobs", "n_jobs", type=click.IntRange(1), help="Trainings at a time.  [default: processors]"
)
@click.option(
    "--threads",
    "n_threads",
    type=click.IntRange(1),
    help="Threads of each ablation sweep.  [default: processors / jobs]",
)
def reproduce(
    groups: tuple[str, ...],
    seeds: int | None,
    is_quick: bool,
    out: Path | None,
    n_jobs: int | None,
    n_threads: int | None,
) -> None:
    """Train and analyse what the paper reports, beside its numbers.

    GROUPS are "copy" (Table 1, Figure 1) and "neuroscience" (Figure 2); both when none is given.
    The output folder gets figures, tables, networks and report.json. Running again with the same
    folder reuses every finished network.
    """
    from .reproduce import GROUPS
    from .reproduce import reproduce as run

    out = out or Path("schurscope-results-quick" if is_quick else "schurscope-results")
    try:
        outcome, _ = run(
            groups or GROUPS,
            out=out,
            seeds=seeds or 0,
            is_quick=is_quick,
            n_jobs=n_jobs or 0,
            n_threads=n_threads or 0,
        )
    except KeyboardInterrupt:
        click.echo(
            f"interrupted: finished networks are kept in {out}; the same command continues",
            err=True,
        )
        sys.exit(INTERRUPTED)
    if outcome.failures:
        raise click.ClickException(f"failed: {', '.join(outcome.failures)}")


@main.command("train")
@click.argument("task", callback=named_task)
@task_parameters
@click.option("--hidden", default=64, show_default=True, help="Number of hidden units.")
@click.option(
    "--recurrent",
    type=click.Choice(RECURRENT),
    default="orthogonal",
    show_default=True,
    help="Construction of W_hh.",
)
@click.option(
    "--activation",
    type=click.Choice(ACTIVATIONS),
    default="tanh",
    show_default=True,
    help="Of the hidden units.",
)
@click.option(
    "--form",
    type=click.Choice(FORMS),
    default="rate",
    show_default=True,
    help="Whether the state is the rate or the current that the activation is applied to.",
)
@click.option("--leak", default=1.0, show_default=True, help="dt / tau, in (0, 1].")
@click.option("--noise", default=0.0, show_default=True, help="Standard deviation at each unit.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of initialisation and trials.",
)
@click.option("--epochs", default=30, show_default=True, help="Epochs of training.")
@click.option("--batches-per-epoch", default=128, show_default=True, help="Steps of an epoch.")
@click.option("--batch-size", default=64, show_default=True, help="Fresh trials per step.")
@click.option("--learning-rate", default=1e-3, show_default=True, help="Constant step size.")
@click.option(
    "--optimizer",
    type=click.Choice(OPTIMIZERS),
    default="adam",
    show_default=True,
    help="How weight decay enters.",
)
@click.option("--weight-decay", default=0.0, show_default=True, help="On every parameter.")
@click.option("--clip", type=float, help="Largest norm of the gradient.  [default: no clipping]")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    show_default=True,
    help="Of the network and its arithmetic.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The network's file.  [default: TASK.npz]",
)
def train_command(
    task: Task,
    parameters: tuple[str, ...],
    hidden: int,
    recurrent: str,
    activation: Activation,
    form: Form,
    leak: float,
    noise: float,
    seed: int,
    dtype: str,
    out: Path | None,
    **options: Any,
) -> None:
    """Train a network on TASK: copy, flip-flop, sine or context-integration.

    Writes the network and, next to it, a .json with the settings and the loss of every step.

    \b
    Example:
      schurscope train copy --hidden 72 --set horizon=16 --epochs 200 --out copy.npz
    """  # noqa: D301 - click reads the backspace
    task = with_parameters(task, parameters)
    out = out or Path(f"{task.name}.npz")
    if out.suffix != ".npz":
        raise click.BadParameter(f"must end in .npz, got {out}", param_hint="--out")
    if not out.parent.is_dir():
        raise click.BadParameter(f"the folder {out.parent} does not exist", param_hint="--out")
    streams = streams_of(seed)
    cell = Cell(activation, form, leak, noise=noise)
    network = init_network(task, hidden, recurrent, streams["init"], dtype=dtype, cell=cell)
    with Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        bar = progress.add_task("", total=options["epochs"] * options["batches_per_epoch"], loss="")
        result = train(
            network,
            task,
            rng=streams["training"],
            progress=lambda done, _total, loss: progress.update(
                bar, completed=done, loss=f"loss {loss:.2e}"
            ),
            **options,
        )
    result.network.save(out)
    settings = {
        "version": __version__,
        "seed": seed,
        "N_h": hidden,
        "recurrent": recurrent,
        **result.settings,
    }
    write_json(out.with_suffix(".json"), {**settings, "loss": result.loss})
    click.echo(
        f"loss {result.loss[-1]:.3g} after {result.loss.size} steps, "
        f"{result.settings['seconds']:.1f} s; wrote {out} and {out.with_suffix('.json')}"
    )


main.add_command(ablate_command)


@main.command()
@click.argument("network", required=False, type=click.Path(path_type=Path, exists=True))
@import_options
def info(network: Path | None, **options: Any) -> None:
    """Show versions, instruction-set levels and threads; or what is in a NETWORK.

    Of a network trained elsewhere it tells which entry became which part, what was ignored and
    what was assumed.
    """
    import scipy

    if network is not None:
        click.echo(imported(network, **options))
        return
    build = _core.build_info()
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("schurscope", __version__),
        ("python", sys.version.split()[0]),
        ("numpy, scipy", f"{np.__version__}, {scipy.__version__}"),
        ("level", f"{_core.LEVEL} ({build['vector_bits']}-bit vectors)"),
        ("levels built", ", ".join(_core.BUILT_LEVELS)),
        ("levels this machine runs", ", ".join(_core.RUNNABLE_LEVELS)),
        ("compiler", build["compiler"]),
        ("eigen", build["eigen"]),
        ("threads", str(_core.resolve_threads(0))),
        ("SCHURSCOPE_SIMD", os.environ.get("SCHURSCOPE_SIMD", "not set")),
        ("SCHURSCOPE_NUM_THREADS", os.environ.get("SCHURSCOPE_NUM_THREADS", "not set")),
    ):
        table.add_row(name, value)
    Console().print(table, highlight=False)


main.add_command(sweep_command)
