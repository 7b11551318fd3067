"""The graph in Neo4j: what things are called there, loading, checking, writing back, following, exporting."""

from graph_etl.neo4j_store.connection import GraphStoreError, Target, connect, session
from graph_etl.neo4j_store.load import LoadCounts, LoadReport, load

__all__ = ["GraphStoreError", "LoadCounts", "LoadReport", "Target", "connect", "load", "session"]
