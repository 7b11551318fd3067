"""Events in, a snapshot of who touched what and when out."""

from graph_etl.adjacency import CSR
from graph_etl.snapshot import NO_HUB, NO_TIME, AttributeInfo, KindInfo, Relation, Snapshot, SnapshotError
from graph_etl.workspace import Workspace, WorkspaceError

__all__ = [
    "CSR",
    "NO_HUB",
    "NO_TIME",
    "AttributeInfo",
    "KindInfo",
    "Relation",
    "Snapshot",
    "SnapshotError",
    "Workspace",
    "WorkspaceError",
]
