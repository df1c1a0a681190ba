"""The command line, ``reproduce | train | ablate | diagnose | sweep | info``, one file each."""

try:
    from .group import main
except ImportError as error:
    raise SystemExit(
        f'the schurscope command needs {error.name}: pip install "schurscope[app]"'
    ) from error

__all__ = ["main"]
