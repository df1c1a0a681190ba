"""A page as one file: template, style, script and data, under a strict content policy."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from .._internal.files import atomic_path
from .._version import __version__
from .tables import exact, shown

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render", "write_page"]

_FOLDER = "page"
SCRIPTS = ("tables.js", "maps.js", "cuts.js", "page.js")


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Templates of the package; everything that they show is escaped."""
    try:
        import jinja2
    except ImportError as error:
        raise ImportError('pages need Jinja2: pip install "schurscope[report]"') from error
    found = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, _FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.globals.update(exact=exact, shown=shown, version=__version__)
    return found


def _source(name: str) -> str:
    return files(__package__).joinpath(_FOLDER, name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source of a content policy that allows exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def render(template: str, content: Mapping[str, Any]) -> str:
    """The text of a page. Nothing is loaded, and only our own script and style take effect."""
    from markupsafe import Markup

    # One scope, so that nothing is global.
    script = "(() => {\n" + "".join(map(_source, SCRIPTS)) + "})();\n"
    script = f'"use strict";\n{script}'
    style = _source("page.css")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    own = {"script": Markup(script), "style": Markup(style), "policy": policy}
    return environment().get_template(template).render(**content, **own)


def write_page(path: str | os.PathLike[str], text: str) -> None:
    """Write a page to exactly `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
