"""Answer of `GET /v1/live`."""

from typing import Literal

from pydantic import BaseModel, Field


class GenerationPart(BaseModel):
    """What answers are made from."""

    number: int = Field(description="1 at the start, one more with every swap.")
    since: str
    snapshot: str
    bundle: str | None
    rings: str | None
    shadow: str | None = Field(description="A bundle that is scored beside and never answered.")
    policy: str


class RefusedPart(BaseModel):
    """A generation that could not be used; the one before goes on."""

    snapshot: str | None
    bundle: str | None
    rings: str | None
    shadow: str | None
    message: str


class OverlayPart(BaseModel):
    """What has happened since the snapshot, in memory."""

    rows: int = Field(description="Rows of the journal that were applied.")
    max_events: int = Field(description="Events from which on none is accepted.")
    accounts: int = Field(description="Accounts that the snapshot does not hold.")
    nodes: int = Field(description="Nodes that the snapshot does not hold, those accounts included.")
    bytes: int


class JournalPart(BaseModel):
    """Whether what happens can be kept."""

    status: Literal["ok", "unavailable"]
    message: str | None
    commit: Literal["process", "disk"]
    last_seq: int | None = Field(description="Last position kept; null while the journal cannot be asked.")


class LagPart(BaseModel):
    """How far this process is behind the journal."""

    rows: int | None
    last_ms: int | None = Field(
        description="Milliseconds from when the last row was kept until it was visible here; "
        "null in the process that writes, and where events tell the time."
    )
    worst_ms: int | None


class ShadowPart(BaseModel):
    """How the shadow bundle compares with the one that answers, since the generation began."""

    bundle: str
    answers: int
    errors: int
    other_decisions: int = Field(description="Answers on which it would have decided otherwise.")
    mean_difference: float | None = Field(description="Mean absolute difference of the two scores.")
    greatest_difference: float | None


class LiveAnswer(BaseModel):
    """The live graph of this moment."""

    role: Literal["writer", "follower"]
    last_seq: int = Field(description="Last position that every answer sees.")
    generation: GenerationPart
    refused: RefusedPart | None
    overlay: OverlayPart
    journal: JournalPart
    lag: LagPart
    shadow: ShadowPart | None
    graph_as_of: str | None
