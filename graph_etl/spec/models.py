"""The spec of a data set: which rows of which files are accounts, events, verdicts, groups and splits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from graph_etl.spec.base import DurationMs, Name, SpecPart, Text, duration_ms, reject, suggestion
from graph_etl.spec.parts import (
    AccountIds,
    AccountMapping,
    EventMapping,
    FoldMapping,
    GroupMapping,
    Kind,
    SplitMapping,
    TimeColumn,
    Times,
    VerdictMapping,
)
from graph_etl.spec.sources import ROW, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "account"
"""The kind of the accounts themselves."""

JOURNAL = "journal"
"""The source that is no file: what the service accepted."""

SIGNUP, RETROSPECTIVE = "signup", "retrospective"


class Spec(SpecPart):
    """A data set, mapped. Made by :func:`graph_etl.spec.load_spec`; see ``docs/spec.md``.

    After validation nothing is implicit: every kind in use is in ``kinds`` (derived ones too), every time
    column has its unit, format and zone, ``moments`` is filled.
    """

    ringwatch: Literal[1]
    name: Name
    title: Text = ""
    simulated: bool = False
    attribution: Text | None = None
    sources: dict[Name, Source] = Field(min_length=1)
    kinds: dict[Name, Kind] = Field(default_factory=dict)
    account_ids: AccountIds = AccountIds()
    times: Times = Times()
    accounts: tuple[AccountMapping, ...] = ()
    unknown_accounts: Literal["add", "quarantine"] = "add"
    events: tuple[EventMapping, ...] = ()
    verdicts: tuple[VerdictMapping, ...] = ()
    assume_good_after_ms: DurationMs | None = Field(default=None, alias="assume_good_after")
    prevalence: float | None = Field(default=None, gt=0, lt=1)
    groups: tuple[GroupMapping, ...] = ()
    folds: FoldMapping | None = None
    splits: SplitMapping | None = None
    moments: tuple[Text, ...] = ()

    _path: Path | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Fill in what is implicit: version, lists, default times, derived kinds."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        version = data.get("ringwatch")
        if version == "1":
            data["ringwatch"] = 1
        for part in ("accounts", "events", "verdicts", "groups"):
            if isinstance(data.get(part), dict):
                data[part] = [data[part]]
        for part in ("kinds", "sources"):
            if data.get(part) is None:
                data.pop(part, None)
        if isinstance(kinds := data.get("kinds"), dict):
            data["kinds"] = _with_derived(kinds)
        times = data.get("times")
        if isinstance(times, dict):
            for part in ("accounts", "events", "verdicts"):
                if isinstance(data.get(part), list):
                    data[part] = [_with_times(mapping, times) for mapping in data[part]]
        return data

    @field_validator("kinds")
    @classmethod
    def _not_reserved(cls, kinds: dict[str, Kind]) -> dict[str, Kind]:
        if ACCOUNT in kinds:
            reject("'account' is not a kind to declare: accounts are always there", key=ACCOUNT)
        return kinds

    @field_validator("sources")
    @classmethod
    def _not_the_journal(cls, sources: dict[str, Source]) -> dict[str, Source]:
        if JOURNAL in sources:
            reject("'journal' is what the service accepted, not a source to declare; rename it", key=JOURNAL)
        return sources

    @field_validator("moments", mode="before")
    @classmethod
    def _moments_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("moments")
    @classmethod
    def _moments(cls, moments: tuple[str, ...]) -> tuple[str, ...]:
        for moment in moments:
            if moment in (SIGNUP, RETROSPECTIVE):
                continue
            try:
                duration_ms(moment)
            except ValueError:
                text = "expected signup, retrospective or a duration such as 1h or 7d, got '{moment}'"
                reject(text, moment=moment)
        return tuple(dict.fromkeys(moments))

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        if not self.accounts and not self.events:
            reject("says nothing about accounts or events; add `accounts` or `events`")
        for place, source in self._sources_used():
            if source not in self.sources:
                advice = suggestion(source, self.sources, "sources")
                text = "{where} names source '{source}', which is not declared; {advice}"
                reject(text, place=place, where=_spoken(place), source=source, advice=advice)
        for place, kind in self._kinds_used():
            if kind not in self.kinds:
                ends = [ACCOUNT] if "from" in place or "to" in place else []
                advice = suggestion(kind, [*ends, *self.kinds], "declared kinds")
                text = "{where} uses kind '{kind}', which `kinds` does not declare; {advice}"
                reject(text, place=place, where=_spoken(place), kind=kind, advice=advice)
        for at, event in enumerate(self.events):
            if event.identifiers and not event.from_.account:
                text = "identifiers belong to the account in `from`, which names a {kind}"
                reject(text, place=("events", at, "identifiers"), kind=event.from_.kind)
        self._check_attributes()
        if not self.moments:
            moments = (SIGNUP, RETROSPECTIVE) if self.timed else (RETROSPECTIVE,)
            object.__setattr__(self, "moments", moments)
        elif not self.timed and self.moments != (RETROSPECTIVE,):
            text = "no account or event has a time, so `retrospective` is the only moment there is"
            reject(text, place=("moments",))
        elif RETROSPECTIVE not in self.moments:
            reject("`retrospective` is missing; exports and rings need it", place=("moments",))
        return self

    def _check_attributes(self) -> None:
        types: dict[str, str] = {}
        for at, mapping in enumerate(self.accounts):
            for name, attribute in mapping.attributes.items():
                if types.setdefault(name, attribute.type) != attribute.type:
                    text = "attribute '{name}' is a {other} in an earlier mapping and a {this} here"
                    place = ("accounts", at, "attributes", name)
                    reject(text, place=place, name=name, other=types[name], this=attribute.type)

    def _sources_used(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        for part in ("accounts", "events", "verdicts", "groups"):
            for at, mapping in enumerate(getattr(self, part)):
                yield (part, at, "source"), mapping.source
        for part in ("folds", "splits"):
            if getattr(self, part) is not None:
                yield (part, "source"), getattr(self, part).source

    def _kinds_used(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        for at, account in enumerate(self.accounts):
            for kind in account.identifiers:
                yield ("accounts", at, "identifiers", kind), kind
        for at, event in enumerate(self.events):
            for kind in event.identifiers:
                yield ("events", at, "identifiers", kind), kind
            for key, end in (("from", event.from_), ("to", event.to)):
                if end is not None and end.kind is not None:
                    yield ("events", at, key, "otherwise" if end.account else end.kind), end.kind

    @property
    def path(self) -> Path | None:
        """The spec's file; None for a spec made in memory."""
        return self._path

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from, unless a data folder is given."""
        return Path() if self._path is None else self._path.parent

    @property
    def timed(self) -> bool:
        """Whether any account or event has a time."""
        return any(m.time is not None for m in self.accounts) or any(m.time is not None for m in self.events)

    @property
    def needs_key(self) -> bool:
        """Whether anything has to be hashed: secret account ids or a kind in use that is not public."""
        used = {kind for _, kind in self._kinds_used()}
        used |= {derived for kind in used for derived in self.kinds[kind].derive}
        return self.account_ids.secret or any(not self.kinds[kind].public for kind in used)

    @property
    def spec_hash(self) -> str:
        """SHA-256 (hex) of what the spec means; its title, attribution, comments and layout do not count."""
        meaning = self.model_dump(mode="json", by_alias=True, exclude={"title", "attribution"})
        return hashlib.sha256(json.dumps(meaning, sort_keys=False).encode()).hexdigest()

    def columns_of(self, source: str) -> tuple[str, ...]:
        """Columns of a source that any mapping names, ``row`` aside.

        Args:
            source: Name of the source.

        Returns:
            Names in order of use, each once. Names of numbered splits keep their ``{n}``.
        """
        found: dict[str, None] = {}
        for account in self.accounts:
            if account.source == source:
                found |= dict.fromkeys(
                    [account.id, *_named(account.event_id, account.time, *account.type.columns)]
                )
                found |= {column: None for columns in account.identifiers.values() for column in columns}
                found |= {attribute.column: None for attribute in account.attributes.values()}
        for event in self.events:
            if event.source == source:
                found |= dict.fromkeys(
                    _named(
                        event.from_.column, event.to.column if event.to else None, event.time, event.known_at
                    )
                )
                found |= dict.fromkeys(_named(event.event_id, event.amount, event.count, *event.type.columns))
                found |= {column: None for columns in event.identifiers.values() for column in columns}
        for verdict in self.verdicts:
            if verdict.source == source:
                parts = (verdict.account, verdict.label, verdict.known_at, verdict.time, verdict.reason)
                found |= dict.fromkeys(_named(*parts))
        for group in self.groups:
            if group.source == source:
                found |= dict.fromkeys([group.account, group.group])
        if self.folds is not None and self.folds.source == source:
            found |= dict.fromkeys([self.folds.account, self.folds.fold])
        if self.splits is not None and self.splits.source == source:
            masks = (self.splits.train, self.splits.validation, self.splits.test)
            found |= dict.fromkeys(_named(self.splits.account, *masks))
        found.pop(ROW, None)
        return tuple(found)


def _named(*columns: str | TimeColumn | None) -> list[str]:
    return [c.column if isinstance(c, TimeColumn) else c for c in columns if c is not None]


def _spoken(place: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def _with_derived(kinds: dict[str, Any]) -> dict[str, Any]:
    """Declare the derived kinds: no identifiers, as public as what they come from."""
    complete = {name: ({} if kind is None else kind) for name, kind in kinds.items()}
    for kind in list(complete.values()):
        if not isinstance(kind, dict):
            continue
        derived = kind.get("derive", ())
        for one in [derived] if isinstance(derived, str) else derived or ():
            if not isinstance(one, str):
                continue
            implied = {"identifier": False, "public": kind.get("public", False), "normalise": "exact"}
            complete.setdefault(one, implied)
    return complete


def _with_times(mapping: Any, times: dict[str, Any]) -> Any:
    """Give a mapping's time columns the units, formats and zones that they do not state themselves."""
    if not isinstance(mapping, dict):
        return mapping
    complete = dict(mapping)
    for key in ("time", "known_at"):
        given = complete.get(key)
        if isinstance(given, str):
            complete[key] = {"column": given} | _fitting(times)
        elif isinstance(given, dict):
            complete[key] = _fitting(times) | given
    return complete


def _fitting(times: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in times.items()
        if key in ("unit", "format", "timezone") and value is not None
    }
