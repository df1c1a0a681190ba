"""Who runs which job: claims on a shared file system, without a server and without locks.

A runner is a process that hands out jobs. Its file in ``runners/`` says who it is and is touched
every few seconds. To claim a job is to make a hard link to that file: making a link is atomic on
local disks, NFS and Lustre, and since a link shares its file's time, the heartbeat of the runner is
that of all its claims.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from pathlib import Path

__all__ = ["Runner", "is_alive", "live_claims"]

BEAT = 5.0  # seconds between touches
STALE = (
    120.0  # seconds without a touch after which a runner counts as dead; clocks may differ by less
)


class Runner:
    """The process at hand as one that runs jobs of the store in `root`; close it when done.

    A job of a dead runner can be claimed again. The new claim is another link with the next higher
    number, never a replacement: of two processes that find the same dead runner, one makes it.
    """

    def __init__(self, root: Path) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._root = root
        self._file = root / "runners" / self.id
        self._claims: dict[str, list[Path]] = {}
        who = json.dumps({"machine": _machine(), "pid": os.getpid()})
        with open(self._file, "x", encoding="utf-8") as stream:
            stream.write(who)
        self._touched = time.monotonic()

    def beat(self) -> None:
        """Show that this runner lives; to be called every second or so."""
        if time.monotonic() - self._touched > BEAT:
            os.utime(self._file)
            self._touched = time.monotonic()

    def claim(self, key: str) -> bool:
        """Whether the job is now this runner's; False if a living one has it."""
        links = []
        for number in range(1000):
            link = self._root / "claims" / f"{key}.{number}"
            links.append(link)
            try:
                os.link(self._file, link)
            except FileExistsError:
                if is_alive(link):
                    return False
            except PermissionError as error:  # what Linux says where there are none
                raise OSError(
                    f"{self._root} must be on a file system with hard links: {error}"
                ) from error
            else:
                self._claims[key] = links
                return True
        raise OSError(f"{self._root} holds a thousand dead claims on the job {key}: remove them")

    def release(self, key: str) -> None:
        """Give the job up, done or not."""
        for link in self._claims.pop(key):
            link.unlink(missing_ok=True)

    def close(self) -> None:
        """Give everything up."""
        for key in list(self._claims):
            self.release(key)
        self._file.unlink(missing_ok=True)


def is_alive(file: Path) -> bool:
    """Whether the runner of this file or claim lives, as far as its heartbeat or its machine tell.

    A file that is gone counts as living: whoever removed it is at work.
    """
    try:
        touched = file.stat().st_mtime
        who = json.loads(file.read_text(encoding="utf-8"))
        machine, pid = who["machine"], int(who["pid"])
    except FileNotFoundError:
        return True
    except (ValueError, KeyError, TypeError):  # caught between its making and its writing
        return time.time() - touched < STALE
    if machine and machine == _machine():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
    return time.time() - touched < STALE


def live_claims(root: Path) -> set[str]:
    """Keys of the jobs that living runners have claimed."""
    with os.scandir(root / "claims") as items:
        links = [Path(item.path) for item in items]
    return {link.name.partition(".")[0] for link in links if is_alive(link)}


def _machine() -> str:
    """Names machine and table of processes; empty where a process number tells nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
