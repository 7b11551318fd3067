"""The SQL store behind journal, keys and what people change: SQLite by default, Postgres by URL."""

__all__ = ["HEAD", "STATE_FILE", "Database", "StoreUnavailable", "StoreVersion", "state_place"]

from scoring_service.database.engine import STATE_FILE, Database, state_place
from scoring_service.database.errors import StoreUnavailable, StoreVersion
from scoring_service.database.tables import HEAD
