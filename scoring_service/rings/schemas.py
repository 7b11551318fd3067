"""Answers of `GET /v1/rings` and `GET /v1/rings/{id}`."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_PAGE = 200
Source = Literal["analyst", "system", "appeal", "rule", "partner"]


class RingFilter(BaseModel):
    """Which rings to list. A ring passes if it meets every filter that is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_score: Annotated[
        float | None, Field(ge=0, allow_inf_nan=False, description="Ring score at least.")
    ] = None
    min_size: Annotated[int | None, Field(ge=1, le=2**31, description="Accounts at least.")] = None
    max_size: Annotated[int | None, Field(ge=1, le=2**31, description="Accounts at most.")] = None
    max_q_value: Annotated[
        float | None,
        Field(ge=0, le=1, description="Chance of a false discovery at most (Benjamini–Hochberg)."),
    ] = None
    account: Annotated[str | None, Field(max_length=256, description="Only the ring of this account.")] = None
    known_bad: Annotated[
        bool | None, Field(description="True: only rings with a confirmed bad account; false: only without.")
    ] = None
    explained_benign: Annotated[
        bool | None,
        Field(description="True: only rings that something honest explains; false: only others."),
    ] = None
    status: Annotated[
        Literal["open", "benign_confirmed", "benign_changed", "all"],
        Field(
            description="`open`: without the groups that people confirmed to be benign, as long as they have "
            "not changed since; else only those, only those that have changed, or all."
        ),
    ] = "open"
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE, description="Rings a page.")] = 20
    cursor: Annotated[
        str | None, Field(max_length=512, description="`next_cursor` of the page before; same filters.")
    ] = None


class RingStanding(BaseModel):
    """What became of a group since a person confirmed it to be benign."""

    confirmed_at: str
    source: str
    reason: str | None
    accounts: int = Field(description="Accounts in it when it was confirmed.")
    new_accounts: int = Field(description="Accounts in it that were not then.")
    new_bad: int = Field(description="Accounts in it that are confirmed bad and were not then.")
    new_evidence: list[str] = Field(
        description="Kinds of evidence that did not tell of it then, such as `identifiers:card`."
    )


class RingSummary(BaseModel):
    """One ring in the ranked list."""

    id: str = Field(description="Survives retraining.")
    rank: int = Field(description="1 is the ring that matters most.")
    score: float | None
    size: int = Field(description="Accounts in it.")
    density: float | None = Field(description="Share of its pairs that are linked, by weight, 0 to 1.")
    synchrony: float | None = Field(
        description="How close in time its accounts acted, 0 to 1; null without times."
    )
    p_value: float | None = Field(description="Chance of so dense a group where nobody works together.")
    q_value: float | None = Field(description="The p-value corrected for the number of rings tested.")
    known_bad: int = Field(description="Confirmed bad accounts in it.")
    explained_benign: bool = Field(
        default=False,
        description="Whether something honest (a household, an office) explains it, four to one or better.",
    )
    status: Literal["open", "benign_confirmed", "benign_changed"] = Field(
        default="open",
        description="`benign_confirmed`: a person called it benign and it has not changed since; "
        "`benign_changed`: it has.",
    )
    benign: RingStanding | None = Field(
        default=None, description="What a person said and what has changed since; null if nobody did."
    )
    words: str = Field(description="What holds it together, in plain words.")
    parents: list[str] = Field(
        description="Rings of the run before that it came from, if it split or merged."
    )


class RingPage(BaseModel):
    """One page of rings, the best rank first."""

    rings: list[RingSummary]
    total: int = Field(description="Rings that pass the filters, on all pages.")
    next_cursor: str | None = Field(description="Null on the last page.")
    run: str = Field(description="Id of the rings run; cursors are bound to it.")
    graph_as_of: str | None
    simulated: bool


class RingMember(BaseModel):
    """An account in a ring."""

    account_id: str
    role: str
    weight: float | None = Field(
        description="Confidence in its membership, 0 to 1: how firmly it is tied, and to this ring alone."
    )
    score: float | None
    known_bad: bool


class Sentence(BaseModel):
    """A claim and the ids of the evidence that proves it."""

    text: str
    evidence: list[str]


class RingLeftOut(BaseModel):
    """An account that looks linked to a ring and was left out."""

    id: str
    account_id: str
    code: str = Field(
        description="`cut_by_person`, `is_hub`, `other_ring`, `behaves_differently`, `apart_in_time`, "
        "`unlikely_pair`, `weak_links`, `few_links`, `too_few`, `loose`, `not_joined` or `only_hub`; new "
        "ones may come."
    )
    strength: float = Field(
        description="Weight of its strongest link with a member; without one, what sharing alone would make."
    )
    words: str = Field(description="The reason in plain words.")
    facts: dict[str, Any] = Field(description="The numbers behind the words.")


class RingCypher(BaseModel):
    """A query that shows in Neo4j what is said of a ring, from what accounts used and did alone."""

    id: str = Field(description="`ring` draws it, `found` finds it again, else the id of its evidence.")
    title: str
    text: str = Field(description="To be pasted into Neo4j Browser as it stands.")
    expected: dict[str, Any] = Field(
        description="Its row, by column, a list of nodes as its length; for `found` how many `rows` come, "
        "how many of them are `members`, and which members are `missing`."
    )


class BenignRequest(BaseModel):
    """Says that a ring is a benign group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source = "analyst"
    reason: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Why. Kept as it is: write no identifier into it.",
    )


class BenignAnswer(BaseModel):
    """A ring that was called benign, or no longer is."""

    id: str
    status: Literal["open", "benign_confirmed", "benign_changed"]
    benign: RingStanding | None
    run: str = Field(description="Id of the rings run that it was looked at in.")


class RingDetail(BaseModel):
    """A ring with all that speaks for it."""

    ring: RingSummary
    sentences: list[Sentence]
    evidence: list[dict[str, Any]] = Field(
        description="Ranked by weight; each has `id`, `type`, `weight`, `text`, `not_in_neo4j` (why it has "
        "no query; null where it has one) and its facts."
    )
    members: list[RingMember]
    minimal: dict[str, Any] | None = Field(
        default=None,
        description="The smallest set of `things` found without which the ring dissolves, as in `evidence`.",
    )
    left_out: list[RingLeftOut] = Field(
        default=[],
        description="Accounts that look linked and were left out, the strongest first, at most 10.",
    )
    timeline: list[dict[str, Any]] = Field(description="What happened when, the earliest first.")
    subgraph: dict[str, Any] = Field(description="`nodes` and `edges` to draw, at most 300 nodes.")
    cypher: list[RingCypher] = Field(
        description="Queries for a Neo4j that was loaded with this graph (`ringwatch neo4j load`)."
    )
    run: str
    graph_as_of: str | None
    simulated: bool


BENIGN_REQUEST: Final[dict[str, Any]] = {"source": "analyst", "reason": "student dormitory, checked by phone"}
BENIGN_ANSWER: Final[dict[str, Any]] = {
    "id": "r4be01c77a2",
    "status": "benign_confirmed",
    "benign": {
        "confirmed_at": "2026-03-01T09:40:00Z",
        "source": "analyst",
        "reason": "student dormitory, checked by phone",
        "accounts": 14,
        "new_accounts": 0,
        "new_bad": 0,
        "new_evidence": [],
    },
    "run": "20260301-1f0c",
}
WITHDRAWN_ANSWER: Final[dict[str, Any]] = {**BENIGN_ANSWER, "status": "open", "benign": None}
