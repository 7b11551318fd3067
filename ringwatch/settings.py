"""What the command line takes from its environment, read once and then frozen."""

from functools import cache
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_WORKSPACE: Final = Path(".ringwatch")

DEMO_HASH_KEY: Final = "ringwatch-demo-key-for-simulated-data"
"""Hashes the identifiers of the demo, whose players are simulated; never a default for other data."""


class Settings(BaseSettings):
    """Environment of one `ringwatch` process.

    Attributes:
        workspace: Folder that holds snapshots, bundles and rings (`RINGWATCH_WORKSPACE`).
        seed: Seed of everything random (`RINGWATCH_SEED`).
        hash_key: Key of the identifier hash (`RINGWATCH_HASH_KEY`); has no default.
        database_url: Where the service keeps its state, if not in the workspace (`RINGWATCH_DATABASE_URL`).
    """

    model_config = SettingsConfigDict(env_prefix="RINGWATCH_", frozen=True, extra="ignore")

    workspace: Path = DEFAULT_WORKSPACE
    seed: int = 0
    hash_key: SecretStr | None = None
    database_url: SecretStr | None = None


class Neo4jSettings(BaseSettings):
    """Where the Neo4j of this process is.

    Attributes:
        uri: Its address (`NEO4J_URI`); None: no Neo4j is configured.
        username: Who asks (`NEO4J_USERNAME`).
        password: The password (`NEO4J_PASSWORD`).
        database: The database (`NEO4J_DATABASE`); None: the user's home database.
    """

    model_config = SettingsConfigDict(env_prefix="NEO4J_", frozen=True, extra="ignore", env_ignore_empty=True)

    uri: str | None = None
    username: str = "neo4j"
    password: SecretStr | None = None
    database: str | None = None


@cache
def settings() -> Settings:
    """Return the settings of this process; the environment is read at the first call."""
    return Settings()
