"""What a spec asks of the build, flat: kinds in order, one entry a mapping, columns resolved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graph_etl.snapshot import KindInfo
from graph_etl.spec import ACCOUNT, JOURNAL, Spec

if TYPE_CHECKING:
    from graph_etl import spec as specs


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A column of times and how to read it."""

    column: str
    unit: str
    format: str | None
    timezone: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of an event: nodes of a kind, or (``either``) accounts where the id is a listed account's."""

    column: str
    kind: int
    either: bool = False


@dataclass(frozen=True, slots=True)
class IdentifierColumn:
    """A column of identifiers that the account of the row used."""

    column: str
    kind: int


@dataclass(frozen=True, slots=True)
class AttributeColumn:
    """A column that describes the account of the row."""

    name: str
    type: str
    column: str


@dataclass(frozen=True, slots=True)
class EventPlan:
    """Rows that are events: rows of accounts, interactions, uses of identifiers.

    Attributes:
        name: The mapping, as ``events[0]``.
        source: Its source.
        lists_accounts: Whether its rows list accounts.
        type: A constant, or the columns whose texts joined by ``:`` are the type.
        src: The end the event starts from.
        dst: The other end; None for an event of one account alone.
        directed: Whether the ends differ in meaning.
        time: When it happened.
        known_at: When it became known; None: when it happened.
        event_id: Column that names the event.
        value_column: Column of amounts or counts.
        value: ``one``, ``count`` or ``amount``.
        identifiers: Identifiers that ``src`` used.
        attributes: What the row says about the account.
    """

    name: str
    source: str
    lists_accounts: bool
    type: str | tuple[str, ...]
    src: Endpoint
    dst: Endpoint | None
    directed: bool
    time: TimeColumn | None
    known_at: TimeColumn | None
    event_id: str | None
    value_column: str | None
    value: str
    identifiers: tuple[IdentifierColumn, ...]
    attributes: tuple[AttributeColumn, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it reads."""
        found = [self.src.column]
        found += [column.column for column in self.identifiers]
        found += [column.column for column in self.attributes]
        found += [] if self.dst is None else [self.dst.column]
        found += [] if isinstance(self.type, str) else self.type
        found += [time.column for time in (self.time, self.known_at) if time is not None]
        found += [column for column in (self.event_id, self.value_column) if column is not None]
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class VerdictPlan:
    """Rows that call accounts bad or good."""

    name: str
    source: str
    account: str
    label: str
    bad: frozenset[str]
    good: frozenset[str]
    known_at: TimeColumn | None
    delay_ms: int | None
    delay_from: TimeColumn | None
    reason: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it reads."""
        times = [time.column for time in (self.known_at, self.delay_from) if time is not None]
        return tuple(
            dict.fromkeys([self.account, self.label, *times, *([self.reason] if self.reason else [])])
        )


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """Rows that put accounts into known groups."""

    name: str
    source: str
    account: str
    group: str
    role: str
    ordinal: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return (self.account, self.group)


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """Rows that put accounts into folds."""

    name: str
    source: str
    account: str
    fold: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return (self.account, self.fold)


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Rows that put accounts into the parts of given splits; ``masks`` are known once a file is seen.

    Attributes:
        name: The mapping, as ``splits``.
        source: Its source.
        account: Column of accounts.
        masks: For each split the columns of train, validation and test.
    """

    name: str
    source: str
    account: str
    masks: tuple[tuple[str, str | None, str], ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return tuple(dict.fromkeys([self.account, *(mask for split in self.masks for mask in split if mask)]))


@dataclass(frozen=True, slots=True)
class CutPlan:
    """Rows of the journal that say which accounts are not linked."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """Rows of the journal that are counted and say nothing of the graph."""

    name: str
    source: str


Mapping = EventPlan | VerdictPlan | GroupPlan | FoldPlan | SplitPlan | CutPlan | RecordPlan


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole of what a spec asks of the build.

    Attributes:
        spec: The spec.
        kinds: Kinds of nodes; the first is ``account``.
        derived: For each kind, the ordinals of the kinds that follow from it.
        mappings: All mappings, in the order of the spec.
    """

    spec: Spec
    kinds: tuple[KindInfo, ...]
    derived: tuple[tuple[int, ...], ...]
    mappings: tuple[Mapping, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that mappings read, in the order of the spec."""
        used = {mapping.source for mapping in self.mappings}
        return tuple(source for source in self.spec.sources if source in used)

    def of_source(self, source: str) -> list[tuple[int, Mapping]]:
        """The mappings that read a source, with their ordinals.

        Args:
            source: Name of the source.

        Returns:
            Ordinal and mapping, in the order of the spec.
        """
        return [(at, mapping) for at, mapping in enumerate(self.mappings) if mapping.source == source]

    @property
    def events(self) -> list[EventPlan]:
        """The mappings whose rows are events."""
        return [mapping for mapping in self.mappings if isinstance(mapping, EventPlan)]

    @property
    def attributes(self) -> tuple[AttributeColumn, ...]:
        """Attributes of accounts, each once, in the order of the spec."""
        found: dict[str, AttributeColumn] = {}
        for mapping in self.events:
            for attribute in mapping.attributes:
                found.setdefault(attribute.name, attribute)
        return tuple(found.values())

    @property
    def identifier_kinds(self) -> tuple[int, ...]:
        """Kinds of what accounts use, as events and accounts name them, and of what is derived from it."""
        named = {column.kind for mapping in self.events for column in mapping.identifiers}
        return tuple(sorted(named | {derived for kind in named for derived in self.derived[kind]}))

    @property
    def has_either(self) -> bool:
        """Whether an end may be an account or an entity, as the sources of accounts tell."""
        ends = [end for mapping in self.events for end in (mapping.src, mapping.dst)]
        return any(end is not None and end.either for end in ends)

    @property
    def timed(self) -> bool:
        """Whether rows that link anything have times; a time of sign-up alone orders nothing but accounts."""
        return any(
            mapping.time is not None and (mapping.dst is not None or bool(mapping.identifiers))
            for mapping in self.events
        )


def plan_of(spec: Spec) -> Plan:
    """Flatten a spec.

    Args:
        spec: The spec.

    Returns:
        The plan, with the mappings of the journal after those of the spec.
    """
    names = [ACCOUNT, *spec.kinds]
    kinds = [KindInfo(ACCOUNT, False, not spec.account_ids.secret)]
    kinds += [KindInfo(name, kind.identifier, kind.public) for name, kind in spec.kinds.items()]
    derived: list[tuple[int, ...]] = [()]
    derived += [tuple(names.index(one) for one in kind.derive) for kind in spec.kinds.values()]
    mappings: list[Mapping] = [
        _of_accounts(f"accounts[{at}]", one, names) for at, one in enumerate(spec.accounts)
    ]
    mappings += [_of_events(f"events[{at}]", one, names) for at, one in enumerate(spec.events)]
    mappings += [_of_verdicts(f"verdicts[{at}]", one) for at, one in enumerate(spec.verdicts)]
    mappings += [
        GroupPlan(f"groups[{at}]", one.source, one.account, one.group, one.role, at)
        for at, one in enumerate(spec.groups)
    ]
    if spec.folds is not None:
        mappings.append(FoldPlan("folds", spec.folds.source, spec.folds.account, spec.folds.fold))
    if spec.splits is not None:
        mappings.append(SplitPlan("splits", spec.splits.source, spec.splits.account))
    plan = Plan(spec, tuple(kinds), tuple(derived), tuple(mappings))
    return replace(plan, mappings=(*mappings, *_of_journal(plan)))


def _of_journal(plan: Plan) -> list[Mapping]:
    mappings: list[Mapping] = []
    if plan.spec.accounts:
        mappings.append(_live("accounts", plan.attributes, lists_accounts=True))
    mappings += [_live("events"), _live("interactions")]
    verdicts = VerdictPlan("verdicts", JOURNAL, "", "", frozenset(), frozenset(), None, None, None, None)
    records = [RecordPlan(name, JOURNAL) for name in ("switches", "erasures")]
    return [*mappings, verdicts, CutPlan("cuts", JOURNAL), *records]


def _live(
    name: str, attributes: tuple[AttributeColumn, ...] = (), *, lists_accounts: bool = False
) -> EventPlan:
    return EventPlan(
        name=name,
        source=JOURNAL,
        lists_accounts=lists_accounts,
        type=(),
        src=Endpoint("", 0),
        dst=None,
        directed=True,
        time=None,
        known_at=None,
        event_id=None,
        value_column=None,
        value="one",
        identifiers=(),
        attributes=attributes,
    )


def _time(column: specs.TimeColumn | None) -> TimeColumn | None:
    return None if column is None else TimeColumn(column.column, column.unit, column.format, column.timezone)


def _type(rule: specs.TypeRule) -> str | tuple[str, ...]:
    return tuple(rule.columns) if rule.constant is None else rule.constant


def _identifiers(columns: dict[str, tuple[str, ...]], names: list[str]) -> tuple[IdentifierColumn, ...]:
    return tuple(
        IdentifierColumn(column, names.index(kind)) for kind, several in columns.items() for column in several
    )


def _of_accounts(name: str, mapping: specs.AccountMapping, names: list[str]) -> EventPlan:
    return EventPlan(
        name=name,
        source=mapping.source,
        lists_accounts=True,
        type=_type(mapping.type),
        src=Endpoint(mapping.id, 0),
        dst=None,
        directed=True,
        time=_time(mapping.time),
        known_at=None,
        event_id=mapping.event_id,
        value_column=None,
        value="one",
        identifiers=_identifiers(mapping.identifiers, names),
        attributes=tuple(
            AttributeColumn(attribute, column.type, column.column)
            for attribute, column in mapping.attributes.items()
        ),
    )


def _end(end: specs.Endpoint, names: list[str]) -> Endpoint:
    if end.kind is None:
        return Endpoint(end.column, 0)
    return Endpoint(end.column, names.index(end.kind), either=end.account)


def _of_events(name: str, mapping: specs.EventMapping, names: list[str]) -> EventPlan:
    value = "one" if mapping.amount is None else "amount"
    return EventPlan(
        name=name,
        source=mapping.source,
        lists_accounts=False,
        type=_type(mapping.type),
        src=_end(mapping.from_, names),
        dst=None if mapping.to is None else _end(mapping.to, names),
        directed=mapping.directed,
        time=_time(mapping.time),
        known_at=_time(mapping.known_at),
        event_id=mapping.event_id,
        value_column=mapping.amount or mapping.count,
        value=value if mapping.count is None else "count",
        identifiers=_identifiers(mapping.identifiers, names),
        attributes=(),
    )


def _of_verdicts(name: str, mapping: specs.VerdictMapping) -> VerdictPlan:
    return VerdictPlan(
        name=name,
        source=mapping.source,
        account=mapping.account,
        label=mapping.label,
        bad=frozenset(mapping.bad),
        good=frozenset(mapping.good),
        known_at=_time(mapping.known_at),
        delay_ms=mapping.delay_ms,
        delay_from=_time(mapping.time),
        reason=mapping.reason,
    )
