"""Request and answer of `POST /v1/risk`."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from scoring_service.policy.schemas import Decision, RiskLevel

MAX_VALUES = 20
MAX_KINDS = 32
MAX_INTERACTIONS = 100
MAX_NAMES = 100

INT64 = 2**63

JsonSchema = dict[str, Any]
_VALUE_SCHEMA: JsonSchema = {"type": ["string", "number", "null"]}


def _id_text(value: Any) -> str:
    """Ids are text to the graph; a number is its decimal digits, as in the files it was built from."""
    if isinstance(value, int) and not isinstance(value, bool) and -INT64 <= value < INT64:
        return str(value)
    if isinstance(value, str) and 1 <= len(value) <= 256 and "\0" not in value:
        return value
    message = "must be text of 1 to 256 characters without NUL, or a 64-bit integer"
    raise ValueError(message)


def _is_value(value: Any, longest: int) -> bool:
    if isinstance(value, str):
        return len(value) <= longest
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -INT64 <= value < INT64
    return isinstance(value, float) and math.isfinite(value)


def _raw_values(value: Any) -> list[str | int | float]:
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_VALUES or not all(item is None or _is_value(item, 1024) for item in values):
        message = (
            f"must be text up to 1024 characters, a number, null, or a list of at most {MAX_VALUES} of these"
        )
        raise ValueError(message)
    return [item for item in values if item is not None and item != ""]


def _timestamp(value: Any) -> Any:
    if value is None or _is_value(value, 64):
        return value
    message = "must be ISO 8601 text, Unix milliseconds, or null"
    raise ValueError(message)


Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
IdText = Annotated[
    str,
    BeforeValidator(_id_text),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1, "maxLength": 256}, {"type": "integer"}]}),
]
RawValues = Annotated[
    list[str | int | float],
    PlainValidator(_raw_values),
    WithJsonSchema(
        {"anyOf": [_VALUE_SCHEMA, {"type": "array", "maxItems": MAX_VALUES, "items": _VALUE_SCHEMA}]}
    ),
]
Timestamp = Annotated[str | int | float | None, PlainValidator(_timestamp), WithJsonSchema(_VALUE_SCHEMA)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class AccountPart(_Part):
    """The account behind the event: its id, and its attributes beside it or under `attributes`."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="allow")
    __pydantic_extra__: dict[str, Any]

    id: IdText
    attributes: dict[str, Any] = Field(default_factory=dict, max_length=MAX_NAMES)


class InteractionPart(_Part):
    """Something that the account does to another account or to an entity."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="forbid")

    type: Name = Field(description="A type that the spec names, such as `gift`.")
    to: IdText = Field(description="The counterpart: an account id, or an identifier or entity of `kind`.")
    kind: Name = Field(default="account", description="Kind of the counterpart.")
    amount: float | None = Field(
        default=None, description="In the unit of the data that the graph was built from."
    )


class RiskRequest(_Part):
    """One event and the account behind it."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="forbid")

    event_type: Name = Field(description="Such as `signup`, `login`, `payment`.")
    event_id: IdText | None = Field(default=None, description="The sender's id of the event.")
    event_timestamp: Timestamp = Field(
        default=None,
        description="ISO 8601, or Unix milliseconds. Without an offset it is read as UTC, with a warning; "
        "left out, it is the server's time. At most five minutes ahead of the server's clock.",
    )
    account: AccountPart
    identifiers: dict[Name, RawValues] = Field(
        default_factory=dict,
        max_length=MAX_KINDS,
        description="Raw values by kind; hashed at the door, never kept. Null and empty values are absent.",
    )
    interactions: list[InteractionPart] = Field(default_factory=list, max_length=MAX_INTERACTIONS)
    properties: dict[str, Any] = Field(
        default_factory=dict,
        max_length=MAX_NAMES,
        description="Anything else; what the spec does not name is dropped.",
    )


class RiskWarning(BaseModel):
    """Something about the request or the answer that the caller should know."""

    code: str = Field(description="Stable; docs/api.md lists all.")
    message: str
    detail: Any = None


class WithoutIt(BaseModel):
    """What the score would be had the account never touched some of the evidence."""

    score: float = Field(description="The score without the one piece that lowers it most.")
    what: str = Field(description="That piece: kind and key, an account, a way of acting.")
    score_without_all: float = Field(description="The score without all pieces that the reason names.")
    words: str = Field(description="As in `without the device that 4 accounts touch: 0.93 → 0.31`.")


class RiskReason(BaseModel):
    """Why the score is what it is."""

    code: str = Field(description="Stable; docs/reasons.md lists all.")
    message: str
    impact: float | None = Field(description="How much lower the score would be without it.")
    evidence: list[dict[str, Any]] = Field(description="What to look at, with ids that can be followed.")
    safe_for_user: bool = Field(description="Whether it may be shown to the account's owner.")
    without: WithoutIt | None = Field(
        default=None,
        description="Where counterfactuals were asked for and the evidence names what can be taken away.",
    )


class RiskRing(BaseModel):
    """The ring that an account belongs to, or that its identifiers lead to."""

    id: str
    rank: int
    score: float | None
    q_value: float | None = Field(description="Chance that it is a false discovery.")
    size: int
    known_bad: int = Field(description="Confirmed bad accounts in it.")
    role: str | None = Field(description="The account's role; null where only its identifiers lead there.")
    membership: Literal["member", "shares_identifier"]


class PolicyUsed(BaseModel):
    """The policy that decided."""

    name: str
    version: int
    moment: str = Field(description="Whose thresholds and whose model head were used.")
    rule: str = Field(description="What settled it: `threshold`, `fallback`, or a rule of evidence.")


class Degraded(BaseModel):
    """Why the answer is not the full one."""

    reason: Literal[
        "bundle_unavailable",
        "scoring_failed",
        "event_before_graph",
        "journal_unavailable",
        "overlay_full",
        "follower",
        "rings_unavailable",
    ]
    message: str
    fallback: Literal["last_score", "identifier_reputation", "policy_default"] | None = Field(
        description="Where the score came from instead; null where the score itself is whole."
    )


class RiskAnswer(BaseModel):
    """The answer about one event."""

    id: str = Field(description="Id of this answer.")
    event_id: str | None
    account_id: str
    accepted: bool = Field(description="Whether the event is kept and will count from now on.")
    event_seq: int | None = Field(description="Its position in the journal.")
    score: float | None = Field(description="Probability that the account is bad, 0 to 1; see `calibrated`.")
    percentile: float | None = Field(description="Share of the graph's accounts that score lower, 0 to 100.")
    calibrated: bool = Field(description="False: the score only ranks; nothing was there to calibrate it on.")
    risk_level: RiskLevel
    decision: Decision
    policy: PolicyUsed
    reasons: list[RiskReason] = Field(
        description="Given where the decision is not `allow`, and with `expand`."
    )
    ring: RiskRing | None
    model_version: str | None
    graph_as_of: str | None = Field(
        description="Until when the graph knows events; null where nothing is timed."
    )
    simulated: bool = Field(description="Whether the graph holds simulated data.")
    warnings: list[RiskWarning]
    degraded: Degraded | None
