"""How much memory a process holds, as the kernel counts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one process, in bytes.

    Attributes:
        resident: Pages in memory, mapped files included (RSS).
        proportional: The same, pages shared with other processes counted by their share (PSS).
        own: Pages of no file: what the process itself allocated.
        mapped: Pages of files, the snapshot among them; the system may drop and read them again.
    """

    resident: int
    proportional: int
    own: int
    mapped: int


def memory_of(pid: int) -> Memory:
    """Read the memory of a process.

    Args:
        pid: Its number.

    Returns:
        What ``/proc/PID/smaps_rollup`` says.
    """
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return Memory(
        resident=found["Rss"],
        proportional=found["Pss"],
        own=found["Anonymous"],
        mapped=found["Rss"] - found["Anonymous"],
    )
