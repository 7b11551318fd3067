"""Builds a spec in a process of its own; kills itself with SIGKILL at the n-th time it touches a file.

Usage: ``python -m tests.graph_etl.killed_build SPEC WORKSPACE KILL_AT [PART_OF_PATH [JOURNAL]]``; 0 never
kills. Prints the content hash.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from graph_etl import Workspace, build, load_spec
from tests.graph_etl.journals import LinesJournal

_TOUCHES = ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove")


def main() -> None:
    """Build, or die trying."""
    spec, workspace, kill_at = sys.argv[1], os.path.realpath(sys.argv[2]), int(sys.argv[3])
    part = sys.argv[4] if len(sys.argv) > 4 else ""
    touched = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal touched
        if event not in _TOUCHES or not isinstance(arguments[0], str | os.PathLike):
            return
        path = os.fspath(arguments[0])
        if str(path).startswith(workspace) and part in str(path):
            touched += 1
            if touched == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    loaded = load_spec(spec)
    journal = LinesJournal(Path(sys.argv[5])) if len(sys.argv) > 5 else None
    sys.addaudithook(watch)
    sys.stdout.write(build(loaded, Workspace(workspace), journal=journal).content_hash + "\n")


if __name__ == "__main__":
    main()
