"""The group of all commands, with its handling of errors and Ctrl-C."""

from __future__ import annotations

from typing import Any

import click

from .. import __version__
from .ablate import ablate_command
from .diagnose import diagnose_command
from .info import info_command
from .options import INTERRUPTED, as_options
from .reproduce import reproduce_command
from .sweep import sweep_command
from .train import train_command


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
            options = _options(self.commands[ctx.invoked_subcommand or ""])
            raise click.ClickException(as_options(_told(error), options)) from error


def _told(error: Exception) -> str:
    """The message; of a failed system call the file and the reason, without its number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _options(command: click.Command) -> dict[str, str]:
    """Argument → option, of a command and of the commands in it; ``n_hidden`` is ``--hidden``."""
    found: dict[str, str] = {}
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        found |= _options(inner)
    for param in command.params:
        if param.name and param.param_type_name != "argument":
            found |= {f"n_{param.name}": param.opts[0], param.name: param.opts[0]}
    return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="schurscope")
def main() -> None:
    """Find the Schur-coordinate couplings that a trained recurrent network needs.

    \b
    Try it, in under a minute:
      schurscope reproduce --quick
    Reproduce the paper, in a few minutes:
      schurscope reproduce
    Train a network of your own and ablate it:
      schurscope train flip-flop --out flipflop.npz
      schurscope ablate flipflop.npz --task flip-flop --out flipflop-ablation
    Find out what it needs, and why:
      schurscope diagnose flipflop.npz --task flip-flop
    Ablate one trained elsewhere, on your own trials:
      schurscope ablate model.pt --trials trials.npz --out report
    """  # noqa: D301 - click reads the backspace


for command in (
    reproduce_command,
    train_command,
    ablate_command,
    diagnose_command,
    sweep_command,
    info_command,
):
    main.add_command(command)
