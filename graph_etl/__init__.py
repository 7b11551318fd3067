"""Events in, a snapshot of who touched what and when out."""

from graph_etl.adjacency import CSR
from graph_etl.build import AppendError, build
from graph_etl.erasure import Forgotten, forget
from graph_etl.errors import DataError, HashKeyError, IdentifierError, RingwatchError, SpecError
from graph_etl.history import Publication
from graph_etl.identifiers import Hasher, entity_key
from graph_etl.journal import (
    Content,
    JournalReader,
    JournalRow,
    JournalRowError,
    LiveCut,
    LiveErasure,
    LiveEvent,
    LiveSwitch,
    LiveVerdict,
    decode,
    encode,
    kind_of,
)
from graph_etl.journal_staging import JournalOrderError
from graph_etl.quarantine import TooManyQuarantined
from graph_etl.report import BuildReport, ReportTable, SourceCount
from graph_etl.snapshot import NO_HUB, NO_TIME, AttributeInfo, KindInfo, Relation, Snapshot, SnapshotError
from graph_etl.spec import Spec, load_spec
from graph_etl.workspace import Workspace, WorkspaceError

__all__ = [
    "CSR",
    "NO_HUB",
    "NO_TIME",
    "AppendError",
    "AttributeInfo",
    "BuildReport",
    "Content",
    "DataError",
    "Forgotten",
    "HashKeyError",
    "Hasher",
    "IdentifierError",
    "JournalOrderError",
    "JournalReader",
    "JournalRow",
    "JournalRowError",
    "KindInfo",
    "LiveCut",
    "LiveErasure",
    "LiveEvent",
    "LiveSwitch",
    "LiveVerdict",
    "Publication",
    "Relation",
    "ReportTable",
    "RingwatchError",
    "Snapshot",
    "SnapshotError",
    "SourceCount",
    "Spec",
    "SpecError",
    "TooManyQuarantined",
    "Workspace",
    "WorkspaceError",
    "build",
    "decode",
    "encode",
    "entity_key",
    "forget",
    "kind_of",
    "load_spec",
]
