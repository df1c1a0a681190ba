"""The version, from the installed metadata: pyproject.toml is the one place that states it."""

from importlib.metadata import version

__version__ = version("schurscope")
