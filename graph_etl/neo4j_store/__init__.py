"""The graph in Neo4j: what things are called there, loading, checking, writing back, following, exporting."""

from graph_etl.neo4j_store.connection import GraphStoreError, Target, connect, session
from graph_etl.neo4j_store.differences import Comparison, Difference, VerifyReport
from graph_etl.neo4j_store.export import ExportReport, expected_bytes, export
from graph_etl.neo4j_store.follow import FollowReport, Lag, follow
from graph_etl.neo4j_store.load import LoadCounts, LoadReport, load
from graph_etl.neo4j_store.query_pack import Parameter, Query, queries, query, run_query
from graph_etl.neo4j_store.results import Results
from graph_etl.neo4j_store.verify import verify
from graph_etl.neo4j_store.write_back import WriteBackReport, write_back

__all__ = [
    "Comparison",
    "Difference",
    "ExportReport",
    "FollowReport",
    "GraphStoreError",
    "Lag",
    "LoadCounts",
    "LoadReport",
    "Parameter",
    "Query",
    "Results",
    "Target",
    "VerifyReport",
    "WriteBackReport",
    "connect",
    "expected_bytes",
    "export",
    "follow",
    "load",
    "queries",
    "query",
    "run_query",
    "session",
    "verify",
    "write_back",
]
