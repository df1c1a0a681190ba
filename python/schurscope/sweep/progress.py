"""The progress line of a sweep, for a terminal or a log file."""

from __future__ import annotations

import sys
import time
from typing import IO

__all__ = ["Progress", "duration"]

ON_TERMINAL, IN_FILE = 0.2, 30.0  # seconds between lines


class Progress:
    """Shows the numbers of jobs done, running and failed, and the time left.

    On a terminal the line is updated in place; elsewhere a new line is written every 30 s.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._pause = ON_TERMINAL if self._live else IN_FILE
        self._next = 0.0

    def show(
        self, done: int, total: int, running: int, failed: int, left: float | None, *, last: bool
    ) -> None:
        """Show progress, at limited rate unless `last`; `left` in seconds, None if unknown."""
        now = time.monotonic()
        if now < self._next and not last:
            return
        self._next = now + self._pause
        text = f"{done} of {total} jobs done, {running} running, {failed} failed"
        if left is not None and not last:
            text += f", {duration(left)} left"
        self._write(text, "\n" if last or not self._live else "")

    def say(self, text: str) -> None:
        """Write a message on its own line."""
        self._write(text, "\n")

    def _write(self, text: str, end: str) -> None:
        start = "\r\x1b[K" if self._live else ""
        self._stream.write(start + text + end)
        self._stream.flush()


def duration(seconds: float) -> str:
    """Seconds in readable form: ``"42 s"``, ``"3 min 20 s"``, ``"5 h 12 min"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
