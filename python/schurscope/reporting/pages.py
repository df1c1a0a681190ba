"""Pages about networks: what goes where. `report` is `schurscope.report`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._internal.checks import shown as quoted
from ..ablation.profile import AblationProfile
from ..diagnosis.result import Diagnosis

__all__ = ["report"]


def report(
    results: Diagnosis | AblationProfile | Sequence[Diagnosis],
    path: str | os.PathLike[str],
    *,
    title: str = "",
    names: Sequence[str] | None = None,
    links: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    facts: Mapping[str, object] | None = None,
    files: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Write a page about a network, or one that compares networks, as one HTML file.

    The file needs nothing else: it opens from a folder or a mail, without a network, and prints. It
    holds the trials of the 100 pairs with the largest effects, quantiles over trials of the other
    pairs that were run, and a few trajectories.

    Parameters
    ----------
    results : Diagnosis, AblationProfile or sequence of Diagnosis
        Several diagnoses, of one measure, are compared on the same axes.
    path : path-like
        Written atomically.
    title : str
    names : sequence of str, optional
        Of the diagnoses in a comparison, distinct. By default "network 1", "network 2", ….
    links : sequence of str, optional
        The address of each network's own page, relative to `path`.
    groups : sequence of str, optional
        The group of each network, such as its width: distributions have a row for each group.
    facts : mapping, optional
        Further lines of provenance, such as the task and its seed.
    files : iterable of path-like
        Files that the result was made from: their names and SHA-256 are listed. A folder stands for
        the files in it.

    Raises
    ------
    ImportError
        Jinja2 is missing: ``pip install "schurscope[report]"``.
    TypeError
        `results` are of another type.
    ValueError
        There is nothing to compare, or the measures differ; names are not distinct; names, links or
        groups are not as many as diagnoses.
    OSError
        A file cannot be read, or `path` not be written.
    """
    from .render import render, write_page

    if facts is not None and not isinstance(facts, Mapping):
        raise TypeError(f"facts must be a mapping, got {quoted(facts)}")
    lines = {str(name): str(value) for name, value in (facts or {}).items()}
    lines |= {f"SHA-256 of {name}": digest for name, digest in hashes(files)}
    if isinstance(results, (Diagnosis, AblationProfile)):
        if (names, links, groups) != (None, None, None):
            raise ValueError("names, links and groups belong to a comparison of several diagnoses")
        content = _content(results, title, lines)
        template = "diagnosis.html" if isinstance(results, Diagnosis) else "profile.html"
    else:
        from .comparison import comparison_content

        found = _diagnoses(results)
        count = len(found)
        content = comparison_content(
            found,
            _names(names, count),
            _for_each(links, "links", count),
            _for_each(groups, "groups", count),
            title,
            lines,
        )
        template = "comparison.html"
    write_page(path, render(template, content))


def _content(
    result: Diagnosis | AblationProfile, title: str, facts: Mapping[str, str]
) -> dict[str, Any]:
    from .network import diagnosis_content, profile_content

    if isinstance(result, Diagnosis):
        return diagnosis_content(result, title, facts)
    return profile_content(result, title, facts)


def hashes(files: Iterable[str | os.PathLike[str]]) -> list[tuple[str, str]]:
    """Name and SHA-256 of each file, and of those in each folder."""
    found = []
    for given in map(Path, files):
        inside = sorted(given.rglob("*")) if given.is_dir() else [given]
        for path in (path for path in inside if not path.is_dir()):
            name = str(path.relative_to(given.parent))
            with open(path, "rb") as stream:
                total = hashlib.sha256()
                while block := stream.read(2**20):
                    total.update(block)
            found.append((name, total.hexdigest()))
    return found


def _diagnoses(results: object) -> list[Diagnosis]:
    if isinstance(results, (str, bytes)) or not isinstance(results, Iterable):
        raise TypeError(
            "results must be a Diagnosis, an AblationProfile or a sequence of diagnoses, got "
            f"{quoted(results)}"
        )
    found = list(results)
    for each in found:
        if not isinstance(each, Diagnosis):
            raise TypeError(f"results must be diagnoses, got {quoted(each)} among them")
    if not found:
        raise ValueError("results must hold at least one diagnosis, got none")
    measures = sorted({each.profile.measure for each in found})
    if len(measures) > 1:
        raise ValueError(f"results must be of one measure, got {', '.join(measures)}")
    return found


def _names(names: Sequence[str] | None, count: int) -> list[str]:
    if names is None:
        return [f"network {place}" for place in range(1, count + 1)]
    given = [str(name) for name in names]
    if len(given) != count or len(set(given)) != count:
        raise ValueError(f"names must be {count} distinct names, got {quoted(given)}")
    return given


def _for_each(values: Sequence[str] | None, name: str, count: int) -> list[str]:
    if values is None:
        return [""] * count
    given = [str(value) for value in values]
    if len(given) != count:
        raise ValueError(f"{name} must be {count}, one for each diagnosis, got {len(given)}")
    return given
