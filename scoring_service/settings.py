"""Settings of the service: read once from the environment or the caller, then frozen."""

import ipaddress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from scoring_service.database import state_place
from scoring_service.errors import BindRefused
from scoring_service.journal.retention import RetentionRule, What


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Tell whether a host's name or address stands for this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class ServiceSettings(BaseSettings):
    """Settings of one service process; each can come from `RINGWATCH_<NAME>`.

    The key of the identifier hash is not among them: `graph_etl.identifiers.Hasher` reads it from
    `RINGWATCH_HASH_KEY`, the one place for build, command line and service.

    Attributes:
        workspace: Folder that holds snapshots, bundles and rings.
        host: Address to listen on; beyond loopback only with `allow_remote`.
        port: Port to listen on; 0 lets the system choose.
        allow_remote: Listen beyond loopback; every request then needs a key.
        auth: `required`: requests on loopback need a key too; `auto`: they do once a key exists.
        database_url: Where journal and keys are kept, as SQLAlchemy names it; `state.db` in the workspace if
            None.
        commit: What an accepted event survives: `process` the death of this process, `disk` a power cut.
        clock: When an event became known: `system` by this machine's clock; `events` by the latest time that
            an event told so far, for simulated or recorded traffic.
        max_live_events: Events since the snapshot that are held in memory; beyond, none is accepted until a
            newer snapshot is there.
        retain_features: Age from which answers lose their recorded features; they can be computed again from
            what is left. None: never.
        retain_answers: Age from which events lose all that was recorded of their answers.
        retain_rows: Age from which rows that a published snapshot holds lose what they say.
        follow: Apply what another process writes to the journal, write nothing.
        follow_every: How long a follower waits between two looks at the journal.
        watch_every: How long to wait between two looks at which snapshot, bundle and rings are current.
        policy: Policy file; the one that comes with the package when None.
        max_body_bytes: Bodies beyond it get `body_too_large`.
        max_batch_bytes: The same for `POST /v1/events`, which takes many events at once.
        max_clock_skew: How far an event's time may lie ahead of the server's clock.
        console: Serve the read-only console at `/`.
        log_format: `json` for machines, `text` for people.
        log_level: Events below this level are dropped.
    """

    model_config = SettingsConfigDict(env_prefix="RINGWATCH_", frozen=True, extra="ignore")

    workspace: Path = Path(".ringwatch")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    allow_remote: bool = False
    auth: Literal["auto", "required"] = "auto"
    database_url: str | None = None
    commit: Literal["process", "disk"] = "disk"
    clock: Literal["system", "events"] = "system"
    max_live_events: int = Field(default=1_000_000, ge=1)
    retain_features: timedelta | None = timedelta(days=90)
    retain_answers: timedelta | None = None
    retain_rows: timedelta | None = None
    follow: bool = False
    follow_every: timedelta = timedelta(milliseconds=10)
    watch_every: timedelta = timedelta(milliseconds=500)
    policy: Path | None = None
    max_body_bytes: int = Field(default=262_144, ge=1024)
    max_batch_bytes: int = Field(default=4_194_304, ge=1024)
    max_clock_skew: timedelta = timedelta(minutes=5)
    console: bool = True
    log_format: Literal["json", "text"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def journal_place(self) -> str | Path:
        """URL or file of the database with journal and keys."""
        return state_place(self.workspace, self.database_url)

    @property
    def retention(self) -> list[RetentionRule]:
        """What the journal drops at which age."""
        ages: tuple[tuple[What, timedelta | None], ...] = (
            ("features", self.retain_features),
            ("answers", self.retain_answers),
            ("rows", self.retain_rows),
        )
        return [
            RetentionRule("event", what, int(age.total_seconds() * 1000))
            for what, age in ages
            if age is not None
        ]

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return is_loopback(self.host)

    def check_bind(self) -> None:
        """Refuse an address beyond loopback that nobody allowed.

        Raises:
            BindRefused: If the address is not loopback and `allow_remote` is off.
        """
        if not self.is_loopback and not self.allow_remote:
            raise BindRefused(self.host)
