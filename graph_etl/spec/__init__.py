"""Dataset specs: YAML that maps any source to accounts, entities, interactions, verdicts and groups."""

from graph_etl.spec.base import duration_ms
from graph_etl.spec.loading import load_spec, parse_spec
from graph_etl.spec.models import ACCOUNT, JOURNAL, Spec
from graph_etl.spec.parts import (
    ANY_LABEL,
    AccountIds,
    AccountMapping,
    Attribute,
    Endpoint,
    EventMapping,
    FoldMapping,
    GroupMapping,
    Kind,
    SplitMapping,
    TimeColumn,
    Times,
    TypeRule,
    VerdictMapping,
)
from graph_etl.spec.sources import ROW, Source

__all__ = [
    "ACCOUNT",
    "ANY_LABEL",
    "JOURNAL",
    "ROW",
    "AccountIds",
    "AccountMapping",
    "Attribute",
    "Endpoint",
    "EventMapping",
    "FoldMapping",
    "GroupMapping",
    "Kind",
    "Source",
    "Spec",
    "SplitMapping",
    "TimeColumn",
    "Times",
    "TypeRule",
    "VerdictMapping",
    "duration_ms",
    "load_spec",
    "parse_spec",
]
