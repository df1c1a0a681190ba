"""Small tables for notebooks.

No scripts and no colours of their own, so that they follow a light or a dark page. All text is
escaped: names may come from files of strangers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

__all__ = ["facts", "table"]

Cells = Sequence[object]


def table(title: str, heading: Cells, rows: Iterable[Cells], notes: Iterable[str] = ()) -> str:
    """A table with a title above and lines of notes below; all columns but the first are numbers.

    Cells are converted by ``str``.
    """
    return _page(title, [_row("th", heading), *(_row("td", row) for row in rows)], notes)


def facts(title: str, named: Mapping[str, object], notes: Iterable[str] = ()) -> str:
    """A table of names and values, with a title above and lines of notes below."""
    rows = [
        f"<tr>{_cell('th', 'left', name)}{_cell('td', 'left', value)}</tr>"
        for name, value in named.items()
    ]
    return _page(title, rows, notes)


def _page(title: str, rows: Iterable[str], notes: Iterable[str]) -> str:
    below = [f"<div>{escape(note)}</div>" for note in notes]
    lines = [f"<div><strong>{escape(title)}</strong>", "<table>", *rows, "</table>", *below]
    return "\n".join([*lines, "</div>"])


def _row(tag: str, cells: Cells) -> str:
    sides = ["left"] + ["right"] * (len(cells) - 1)
    return f"<tr>{''.join(map(_cell, [tag] * len(cells), sides, cells))}</tr>"


def _cell(tag: str, side: str, content: object) -> str:
    return f'<{tag} style="text-align: {side}; padding: 0 0.6em">{escape(str(content))}</{tag}>'
