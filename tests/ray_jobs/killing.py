"""Who is killed while a job runs: a worker process, or a whole node."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any


def kill_node(cluster: Any) -> None:
    """Take away a node that is no head, with all its processes, and bring another one."""
    nodes = sorted(cluster.worker_nodes, key=lambda node: len(workers_on(node, b"ray::_run")))
    cluster.remove_node(nodes[-1], allow_graceful=False)
    cluster.add_node(num_cpus=1, object_store_memory=128 << 20)


def kill_worker(cluster: Any) -> None:
    """Kill a process that runs a task, on whichever node; fails if there is none."""
    for node in (cluster.head_node, *cluster.worker_nodes):
        for process in workers_on(node, b"ray::_run"):
            os.kill(process, signal.SIGKILL)
            return
    message = "no task is running on any node"
    raise AssertionError(message)


def workers_on(node: Any, words: bytes) -> list[int]:
    """Processes of a node's raylet with some words in their name."""
    raylet = node.all_processes["raylet"][0].process.pid
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                name = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if parent == raylet and words in name:
                found.append(int(folder.name))
    return found
