"""Results outside Python: tables and figures in folders, and pages in HTML.

The function `schurscope.report` lies here; the folder has another name, because a package has one
attribute of a name, and loading a folder ``report`` would put the folder in the function's place.
"""

from .pages import report

__all__ = ["report"]
