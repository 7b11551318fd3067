"""Runs migrations on the connection that the caller opened, inside the caller's transaction."""

from alembic import context

from scoring_service.database.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
