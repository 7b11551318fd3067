"""Writes results back in a process of its own, which kills itself with SIGKILL a while after it began.

Usage: ``python -m tests.graph_etl.neo4j_store.killed_write_back RESULTS SECONDS``; the database is the one of
``NEO4J_URI`` and ``NEO4J_PASSWORD``. RESULTS is a pickle; negative seconds never kill.
"""

import os
import pickle
import signal
import sys
import threading
import time
from pathlib import Path

from graph_etl.neo4j_store import Target, write_back


def main() -> None:
    """Write back, or die trying."""
    results = pickle.loads(Path(sys.argv[1]).read_bytes())
    after_s = float(sys.argv[2])

    def die() -> None:
        time.sleep(after_s)
        os.kill(os.getpid(), signal.SIGKILL)

    if after_s >= 0:
        threading.Thread(target=die, daemon=True).start()
    target = Target(os.environ["NEO4J_URI"], password=os.environ["NEO4J_PASSWORD"])
    write_back(target, results, batch=50)


if __name__ == "__main__":
    main()
