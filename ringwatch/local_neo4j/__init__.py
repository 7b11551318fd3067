"""A real Neo4j Community on this machine, from its published Java archives: for demo, tests and benchmarks.

Needs Java 17 or later, and once Maven to fetch the archives. Not for production: docs/neo4j.md says what is.
"""

from ringwatch.local_neo4j.server import LocalNeo4j, LocalNeo4jError, fetch_archives

__all__ = ["LocalNeo4j", "LocalNeo4jError", "fetch_archives"]
