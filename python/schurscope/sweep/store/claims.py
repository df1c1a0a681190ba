"""Claims on jobs through a shared file system, without a server and without locks.

A runner is a process that schedules jobs. Its file in ``runners/`` identifies it; touching that
file every few seconds is its heartbeat. A claim on a job is a hard link to the file: creating a
link is atomic on local disks, NFS and Lustre, and a link shares the file's modification time, so
one heartbeat serves all claims.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from pathlib import Path

__all__ = ["Runner", "is_alive", "live_claims"]

BEAT = 5.0  # seconds between heartbeats
STALE = (
    120.0  # seconds without a heartbeat after which a claim is stale; clocks must differ by less
)


class Runner:
    """The current process as a runner of the store in `root`; close it when done.

    A stale claim can be superseded. The new claim is another link, with the next higher number,
    never a replacement: of two processes that find the same stale claim, only one creates it.
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
        """Update the heartbeat if due; call this about every second.

        OSError if another runner took the jobs over, because it saw no heartbeat.
        """
        if time.monotonic() - self._touched > BEAT:
            try:
                os.utime(self._file)
            except FileNotFoundError:
                raise self._replaced() from None
            self._touched = time.monotonic()

    def claim(self, key: str) -> bool:
        """Claim a job: whether it is now this runner's; False if a live runner holds it."""
        links = []
        for number in range(1000):
            link = self._root / "claims" / f"{key}.{number}"
            links.append(link)
            try:
                os.link(self._file, link)
            except FileExistsError:
                if is_alive(link):
                    return False
            except FileNotFoundError:
                raise self._replaced() from None
            except PermissionError as error:  # on Linux: no hard links here
                raise OSError(
                    f"{self._root} must be on a file system with hard links: {error}"
                ) from error
            else:
                self._claims[key] = links
                return True
        raise OSError(f"{self._root} holds a thousand dead claims on the job {key}: remove them")

    def _replaced(self) -> OSError:
        return OSError(
            f"another runner of {self._root} took over the jobs of this one, which gave no sign of "
            f"life for {STALE:.0f} s (was the machine suspended, or its file system not there?). "
            "No result is lost: start the run again to go on"
        )

    def release(self, key: str) -> None:
        """Release the claim on a job, done or not."""
        for link in self._claims.pop(key):
            link.unlink(missing_ok=True)

    def close(self) -> None:
        """Release all claims."""
        for key in list(self._claims):
            self.release(key)
        self._file.unlink(missing_ok=True)


def is_alive(file: Path) -> bool:
    """Whether the runner of this file or claim is alive, judged by its heartbeat or process.

    A missing file counts as alive: some live process removed it.
    """
    try:
        touched = file.stat().st_mtime
        who = json.loads(file.read_text(encoding="utf-8"))
        machine, pid = who["machine"], int(who["pid"])
    except FileNotFoundError:
        return True
    except (ValueError, KeyError, TypeError):  # created, not yet written
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
    """Keys of the jobs claimed by live runners."""
    with os.scandir(root / "claims") as items:
        links = [Path(item.path) for item in items]
    return {link.name.partition(".")[0] for link in links if is_alive(link)}


def _machine() -> str:
    """Identity of the machine and its process table; empty where process ids mean nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
