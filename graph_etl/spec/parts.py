"""The parts of a spec: kinds, times, and what maps rows to accounts, events, verdicts and groups."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from graph_etl.spec.base import (
    Column,
    Columns,
    DurationMs,
    SpecPart,
    Text,
    Texts,
    reject,
    suggestion,
)
from graph_etl.spec.sources import ROW

ANY_LABEL = "*"
"""Among the labels of a verdict: any label that is not named otherwise."""

DERIVATIONS = {"subnet": "ip", "email_domain": "email"}
"""Derived kind, and the normalisation that it can be derived from."""


class Kind(SpecPart):
    """A kind of entity.

    Attributes:
        identifier: Whether it says who or what is behind an account (device, ip, card); a page does not.
        public: Whether its keys may be stored readable; otherwise only a keyed hash is stored.
        normalise: How two spellings of one thing are made equal.
        region: Phones only: the region whose national numbers are meant, as ``US``.
        derive: Kinds that follow from it: ``subnet`` of an ip, ``email_domain`` of an email.
    """

    identifier: bool = True
    public: bool = False
    normalise: Literal["text", "exact", "ip", "email", "phone", "number"] = "text"
    region: str | None = None
    derive: tuple[Literal["subnet", "email_domain"], ...] = ()

    @field_validator("derive", mode="before")
    @classmethod
    def _one_derived(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("region")
    @classmethod
    def _region(cls, value: str | None) -> str | None:
        if value is not None and re.fullmatch(r"[A-Z]{2}", value) is None:
            reject("expected a region of two capital letters such as US, got '{value}'", value=value)
        return value

    @model_validator(mode="after")
    def _fits(self) -> Kind:
        for derived in self.derive:
            if DERIVATIONS[derived] != self.normalise:
                text = (
                    "{derived} is derived from kinds with normalise: {needed}, this one has normalise: {has}"
                )
                needed = DERIVATIONS[derived]
                reject(text, key="derive", derived=derived, needed=needed, has=self.normalise)
        if self.region is not None and self.normalise != "phone":
            reject("region is for kinds with normalise: phone", key="region")
        return self


class AccountIds(SpecPart):
    """How account ids are kept.

    Attributes:
        secret: Whether ids are stored as a keyed hash only; by default they are stored as given.
    """

    secret: bool = False


Unit = Literal["s", "ms", "us", "ns", "m", "h", "d"]


class Times(SpecPart):
    """How times are written unless a column says otherwise.

    Attributes:
        unit: Unit of times that are numbers, since 1970 (UTC).
        format: ``strftime`` pattern of times that are text; None: ISO 8601.
        timezone: Zone of texts that name none.
    """

    unit: Unit = "s"
    format: str | None = None
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return known_zone(value)


def known_zone(value: str) -> str:
    """The name of a time zone, if it is one."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        advice = suggestion(value, sorted(available_timezones()))
        if len(advice) > 80:
            advice = "for example UTC or Europe/Berlin"
        reject("unknown time zone '{value}'; {advice}", value=value, advice=advice)
    return value


class TimeColumn(SpecPart):
    """A column that holds a time; what it does not say is filled in from the spec's ``times``."""

    column: Column
    unit: Unit = "s"
    format: str | None = None
    timezone: str = "UTC"

    @model_validator(mode="before")
    @classmethod
    def _column_alone(cls, data: Any) -> Any:
        return data if isinstance(data, dict) else {"column": data}

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return known_zone(value)


class Attribute(SpecPart):
    """An attribute of an account: a column and how to read it."""

    column: Column
    type: Literal["number", "category", "flag"]


class TypeRule(SpecPart):
    """The type of an event: a constant, or the values of columns joined by ``:``."""

    constant: Text | None = None
    columns: Columns = ()

    @model_validator(mode="before")
    @classmethod
    def _constant_alone(cls, data: Any) -> Any:
        if isinstance(data, dict):
            if set(data) not in ({"columns"}, {"constant"}):
                reject("expected a name such as 'gift', or {{columns: [kind, chain]}}")
            return data
        return {"constant": data}

    @model_validator(mode="after")
    def _either(self) -> TypeRule:
        if (self.constant is None) == (not self.columns) or self.constant == "":
            reject("expected a name such as 'gift', or {{columns: [kind, chain]}}")
        if self.constant is not None and (self.constant == "account" or self.constant.startswith("used:")):
            reject("'{name}' is reserved; choose another type", name=self.constant)
        return self


class Endpoint(SpecPart):
    """One end of an interaction.

    Attributes:
        column: The column with the id or the raw identifier.
        account: Whether it names an account.
        kind: The entity's kind; with ``account`` that of what is no known account (``otherwise``).
    """

    column: Column
    account: bool
    kind: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, data: Any) -> Any:
        if isinstance(data, dict) and ("column" in data and "account" in data and "otherwise" not in data):
            if isinstance(data["account"], bool):
                return data
        if not isinstance(data, dict) or not data:
            reject("expected {{account: COLUMN}}, {{account: COLUMN, otherwise: KIND}} or {{KIND: COLUMN}}")
        if "account" in data:
            rest = [key for key in data if key not in ("account", "otherwise")]
            if rest:
                advice = suggestion(rest[0], ["account", "otherwise"], "known keys")
                reject("unknown key '{key}' in {{place}}; {advice}", key=rest[0], advice=advice)
            return {"column": data["account"], "account": True, "kind": data.get("otherwise")}
        if len(data) > 1:
            text = "expected one kind, got {names}; `otherwise` goes with `account`"
            reject(text, key=list(data)[1], names=" and ".join(map(str, data)))
        ((kind, column),) = data.items()
        return {"column": column, "account": False, "kind": kind}


class AccountMapping(SpecPart):
    """Rows that bring accounts in: one row, one account."""

    source: str
    id: Column
    time: TimeColumn | None = None
    type: Annotated[TypeRule, Field(default_factory=lambda: TypeRule(constant="signup"))]
    event_id: Column | None = None
    identifiers: dict[str, Columns] = Field(default_factory=dict)
    attributes: dict[Column, Attribute] = Field(default_factory=dict)

    @field_validator("attributes", mode="before")
    @classmethod
    def _type_alone(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"column": name, "type": a} if isinstance(a, str) else a for name, a in value.items()}


class EventMapping(SpecPart):
    """Rows that are events: interactions, or an account's use of identifiers."""

    source: str
    type: TypeRule
    from_: Endpoint = Field(alias="from")
    to: Endpoint | None = None
    directed: bool = True
    time: TimeColumn | None = None
    known_at: TimeColumn | None = None
    event_id: Column | None = None
    amount: Column | None = None
    count: Column | None = None
    identifiers: dict[str, Columns] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> EventMapping:
        if self.to is None and not self.identifiers:
            reject("says nothing: add `to`, or `identifiers` of the account in `from`")
        if self.amount is not None and self.count is not None:
            reject("an event has an amount or a count, not both", key="count")
        return self


class VerdictMapping(SpecPart):
    """Rows that say of an account that it is bad or good.

    Attributes:
        source: Name of the source.
        account: Column with the account's id.
        label: Column with the label.
        bad: Labels that mean bad; ``*`` is any label that does not mean good.
        good: Labels that mean good; ``*`` is any label that does not mean bad. All others say nothing.
        known_at: When it became known.
        delay_ms: Or: how long after ``time`` (by default the account's first event) it became known.
        time: The time that ``delay`` counts from.
        reason: Column with a reason.
    """

    source: str
    account: Column
    label: Column
    bad: Texts = Field(min_length=1)
    good: Texts = ()
    known_at: TimeColumn | None = None
    delay_ms: DurationMs | None = Field(default=None, alias="delay")
    time: TimeColumn | None = None
    reason: Column | None = None

    @model_validator(mode="after")
    def _consistent(self) -> VerdictMapping:
        both = sorted(set(self.bad) & set(self.good))
        if both:
            reject("'{value}' is both bad and good", key="good", value=both[0])
        if self.known_at is not None and self.delay_ms is not None:
            reject("give known_at or delay, not both", key="delay")
        if self.time is not None and self.delay_ms is None:
            reject("time is what delay counts from; add delay, or use known_at", key="time")
        return self


class GroupMapping(SpecPart):
    """Rows that say which accounts are known to belong together.

    Attributes:
        source: Name of the source.
        account: Column with the account's id.
        group: Column with the group's name; blank: none.
        role: ``train``: models may learn from it; ``judge``: only for judging the result.
    """

    source: str
    account: Column
    group: Column
    role: Literal["train", "judge"]


class FoldMapping(SpecPart):
    """A given fold table."""

    source: str
    account: Column
    fold: Column


class SplitMapping(SpecPart):
    """Given splits: a mask column for each part, ``{n}`` in their names numbers several splits."""

    source: str
    account: Column = ROW
    train: Column
    validation: Column | None = None
    test: Column

    @model_validator(mode="after")
    def _numbered_alike(self) -> SplitMapping:
        parts = [name for name in (self.train, self.validation, self.test) if name is not None]
        if len({"{n}" in name for name in parts}) > 1:
            reject("either all of train, validation and test hold {{n}} or none does", key="train")
        return self

    def columns(self, available: list[str]) -> list[tuple[str, str | None, str]]:
        """The mask columns of each split.

        Args:
            available: Columns that the source has.

        Returns:
            For each split the columns of train, validation (may be None) and test.
        """
        if "{n}" not in self.train:
            return [(self.train, self.validation, self.test)]
        before, _, after = self.train.partition("{n}")
        pattern = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
        numbers = sorted({found[1] for name in available if (found := pattern.fullmatch(name))}, key=int)

        def named(part: str, number: str) -> str:
            return part.replace("{n}", number)

        return [
            (
                named(self.train, number),
                None if self.validation is None else named(self.validation, number),
                named(self.test, number),
            )
            for number in numbers
        ]
