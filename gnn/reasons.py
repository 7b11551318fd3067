"""Why an account scored as it did: tree attributions, grouped by what they say, with evidence to follow."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import FeatureSpec
from gnn.catalogue import REASON_CATALOGUE
from gnn.label_free import WEIGHTS
from gnn.shared_nodes import SharedNode, account_id, kind_and_key, shared_nodes
from gnn.trees import margins
from gnn.wording import how_many, side_in_words, spoken, with_article
from graph_etl import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from features import Queries
    from gnn.scorer import Scorer, ScoreResult

# Log odds; less than this changes no decision.
_LEAST_WEIGHT: Final = 0.1

_CODE_OF_FAMILY: Final = {
    "attribute": "ACCOUNT_DETAILS",
    "account": "ACCOUNT_AGE",
    "profile": "ACTIVITY_PATTERN",
    "rhythm": "ACTIVITY_PATTERN",
    "identifier": "SHARED_IDENTIFIERS",
    "burst": "SIGNUP_BURST",
    "direct": "COUNTERPARTY_PATTERN",
    "shared": "SHARED_IDENTIFIERS",
    "link": "LINKED_ACCOUNTS",
    "contact": "SHARED_WITH_CONFIRMED_BAD",
    "reputation": "REPUTATION",
    "pair": "LINKED_ACCOUNTS",
    "entity": "SHARED_IDENTIFIERS",
    "community": "COMMUNITY",
}
# What a model makes of the surroundings without saying of which part.
_CODE_OF_OTHERS: Final = "NEIGHBOURHOOD"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason.

    Attributes:
        code: See `REASON_CATALOGUE`.
        message: One sentence with the values in it.
        impact: How much lower the score would be without what it says; 0 where the model made nothing of it.
        evidence: What can be followed: nodes with kind, key and users; accounts with their ids.
        safe_for_user: Whether the end user may see it.
        without: What the score would be had the account never touched the weightiest piece of the evidence,
            where `gnn.counterfactuals` was asked: ``score``, ``what`` (the piece) and ``words``.
    """

    code: str
    message: str
    impact: float
    evidence: list[dict[str, Any]] = field(default_factory=list)
    safe_for_user: bool = False
    without: dict[str, Any] | None = None


def reasons(
    scorer: Scorer, queries: Queries, result: ScoreResult, row: int = 0, top: int = 5
) -> list[Reason]:
    """Explain one score.

    Attributions are exact tree Shapley values (Lundberg et al., 2020), summed over the features that say the
    same; impact turns them into score. Contact with a confirmed bad account comes first, always.

    Args:
        scorer: What scored it.
        queries: The questions.
        result: Their scores.
        row: The question to explain.
        top: Most reasons to give.

    Returns:
        Reasons that raise the score, the greatest impact first.
    """
    impacts, weights = _impacts(scorer, result, row)
    shared = shared_nodes(scorer.source, queries, row)
    values = _Values(result.features[row], _grouping(scorer, result.features.shape[1]).place)
    found = _contact_reasons(scorer, result, row, impacts)
    for code, group in sorted(impacts, key=lambda key: (-weights[key], key)):
        impact = impacts[code, group]
        if weights[code, group] < _LEAST_WEIGHT or code in {
            "SHARED_WITH_CONFIRMED_BAD",
            "DEALT_WITH_CONFIRMED_BAD",
        }:
            continue
        message, evidence = _tell(scorer, queries, values, row, code, group, shared)
        if not message:
            continue
        found.append(Reason(code, message, round(impact, 4), evidence, REASON_CATALOGUE[code].safe_for_user))
    return found[:top]


@dataclass(frozen=True, slots=True)
class _Grouping:
    """Which columns of a head say the same.

    Attributes:
        kinds: Code and group of each kind of reason, in the order of their first columns.
        of_column: ``int64[F]``, index into ``kinds``.
        place: Column of each name.
        label_free: ``float64[F]``, weights of the columns in the score of the first day.
    """

    kinds: Sequence[tuple[str, str]]
    of_column: NDArray[np.int64]
    place: dict[str, int]
    label_free: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Values:
    """One row of features by their names."""

    row: NDArray[np.float32]
    place: dict[str, int]

    def known(self, name: str) -> float | None:
        """A value; None where it is missing."""
        at = self.place.get(name)
        value = np.nan if at is None else float(self.row[at])
        return None if np.isnan(value) else value

    def number(self, name: str) -> float:
        """A value; 0 where it is missing."""
        return self.known(name) or 0.0


_groupings: weakref.WeakKeyDictionary[Scorer, dict[int, _Grouping]] = weakref.WeakKeyDictionary()


def _grouping(scorer: Scorer, n_columns: int) -> _Grouping:
    """The grouping of a scorer's first so many columns, made once."""
    known = _groupings.setdefault(scorer, {})
    found = known.get(n_columns)
    if found is None:
        specs = scorer.specs[:n_columns]
        kinds = {code: number for number, code in enumerate(dict.fromkeys(_code(spec) for spec in specs))}
        found = known[n_columns] = _Grouping(
            kinds=tuple(kinds),
            of_column=np.array([kinds[_code(spec)] for spec in specs], dtype=np.int64),
            place={spec.name: column for column, spec in enumerate(specs)},
            label_free=np.array([WEIGHTS.get(spec.name, 0.0) for spec in specs]),
        )
    return found


def _code(spec: FeatureSpec) -> tuple[str, str]:
    """Code of a feature and what it is about; reasons about the same join."""
    if ".newcomers_" in spec.name:
        return "IDENTIFIER_BURST", spec.group
    code = _CODE_OF_FAMILY.get(spec.family, _CODE_OF_OTHERS)
    return code, spec.group if spec.family in {"attribute", "profile"} else ""


def _impacts(
    scorer: Scorer, result: ScoreResult, row: int
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]:
    """Score that would be lost without each kind of reason, and its weight in log odds."""
    head = scorer.bundle.heads[result.moment]
    grouping = _grouping(scorer, result.features.shape[1])
    values = result.features[row : row + 1]
    if head.shapley is None:
        contributions = grouping.label_free * np.nan_to_num(values[0].astype(np.float64))
    else:
        contributions = head.shapley.attributions(values) * (1.0 - head.blend.weight)
    weights = np.bincount(grouping.of_column, contributions, minlength=len(grouping.kinds))
    sums = dict(zip(grouping.kinds, weights.tolist(), strict=True))
    if head.booster is not None and head.blend.weight > 0.0:
        trees = float(margins(head.booster, values)[0]) * (1.0 - head.blend.weight)
        rest = float(result.margin[row]) - trees
        rest -= head.blend.weight * head.blend.offset
        sums[_CODE_OF_OTHERS, ""] = sums.get((_CODE_OF_OTHERS, ""), 0.0) + rest
    margin = float(result.margin[row])
    without = np.array([margin - value for value in sums.values()])
    lost = float(result.score[row]) - head.calibration(without)
    return dict(zip(sums, (float(value) for value in lost), strict=True)), sums


def _contact_reasons(
    scorer: Scorer, result: ScoreResult, row: int, impacts: dict[tuple[str, str], float]
) -> list[Reason]:
    source, near = scorer.source, result.contact
    found: list[Reason] = []
    impact = max(0.0, round(impacts.get(("SHARED_WITH_CONFIRMED_BAD", ""), 0.0), 4))
    users = int(near.users[row])
    if near.via[row] >= 0:
        node = int(near.via[row])
        kind, key = kind_and_key(source, node)
        bad = account_id(source, int(near.bad_account[row]))
        touched = "nobody else touches it" if users == 2 else f"{users} accounts touch it in all"
        what = (
            f"Deals with account {key}, as does {bad}"
            if kind == "account"
            else f"Shares {with_article(kind)} with {bad}"
        )
        found.append(
            Reason(
                "SHARED_WITH_CONFIRMED_BAD",
                f"{what}, which is confirmed bad; {touched}.",
                impact,
                [
                    {"type": "shared_node", "kind": kind, "key": key, "accounts": users},
                    {"type": "confirmed_bad_account", "account": bad},
                ],
            )
        )
    dealt_with = round(float(np.expm1(near.features[row, 3])))
    if dealt_with:
        evidence: list[dict[str, Any]] = []
        if near.via[row] < 0 and near.bad_account[row] >= 0:
            bad = account_id(source, int(near.bad_account[row]))
            evidence.append({"type": "confirmed_bad_account", "account": bad})
        found.append(
            Reason(
                "DEALT_WITH_CONFIRMED_BAD",
                "Dealt directly with "
                + ("an account that is" if dealt_with == 1 else f"{dealt_with} accounts that are")
                + " confirmed bad.",
                0.0 if found else impact,
                evidence,
            )
        )
    return found


def _tell(
    scorer: Scorer,
    queries: Queries,
    values: _Values,
    row: int,
    code: str,
    group: str,
    shared: list[SharedNode],
) -> tuple[str, list[dict[str, Any]]]:
    """Message and evidence of one reason; no message where there is nothing to tell of its kind."""

    def counted(name: str) -> int:
        return round(float(np.expm1(values.number(name))))

    nodes = [node.as_evidence() for node in shared]
    if code == "ACCOUNT_DETAILS":
        return _tell_attribute(scorer, group, values), []
    if code == "ACCOUNT_AGE":
        hours = float(np.expm1(values.number("account.age")))
        return f"The account is {_age(hours)} old.", [{"type": "account_age", "hours": round(hours, 2)}]
    if code == "SIGNUP_BURST":
        close = counted("burst.before_1h") + counted("burst.after_1h")
        alike = round(values.number("burst.alike_count"))
        if close == 0 and alike == 0:
            return "", []
        first_seen_ms = int(queries.first_seen_ms[row])
        evidence = [{"type": "burst", "accounts_within_1h": close, "look_alikes": alike}]
        if first_seen_ms != NO_TIME:
            evidence[0]["around_ms"] = first_seen_ms
        return (
            f"{how_many(close, 'other account')} appeared within an hour of it; "
            f"of those nearest in time, {alike} behave alike.",
            evidence,
        )
    if code == "ACTIVITY_PATTERN":
        events, partners = counted(f"{group}.events"), counted(f"{group}.counterparts")
        common = max(0, round(2.0 ** values.number(f"{group}.users_mean")) - 1)
        message = (
            f"{how_many(events, 'event')} of {side_in_words(group)} with {how_many(partners, 'counterpart')}"
        )
        if group.startswith("used:"):
            message = f"{how_many(partners, side_in_words(group))} in {how_many(events, 'event')}"
        if not events:
            message = f"No {side_in_words(group)} so far"
        if partners:
            message += f", typically touched by {how_many(common, 'account')}"
        return message + ".", [
            {"type": "activity", "relation": group, "events": events, "counterparts": partners}
        ]
    if code == "COUNTERPARTY_PATTERN" and not counted("direct.accounts"):
        return "", []
    if code == "COUNTERPARTY_PATTERN":
        dealt = counted("direct.accounts")
        return f"It dealt directly with {how_many(dealt, 'account')}.", [
            {"type": "dealings", "accounts": dealt}
        ]
    if code == "IDENTIFIER_BURST":
        day, week = counted(f"{group}.newcomers_1d"), counted(f"{group}.newcomers_7d")
        return (
            f"One {side_in_words(group)} of it saw {how_many(day, 'new account')} in a day "
            f"and {week} in a week.",
            [node for node in nodes if f"used:{node['kind']}" == group],
        )
    if code == "LINKED_ACCOUNTS" and counted("link.count"):
        linked, strong = how_many(counted("link.count"), "account"), counted("link.over_30")
        message = f"Rarity, closeness in time and behaviour together link it to {linked}"
        return f"{message}; {strong} of these links are strong.", nodes
    if code == "SHARED_IDENTIFIERS" and shared:
        first = shared[0]
        accounts = counted("shared.accounts")
        within = counted("shared.within_1d")
        message = (
            f"What it touches links it to {how_many(accounts, 'account')}, most of all "
            f"{with_article(first.kind)} that {how_many(first.users, 'account')} touch"
        )
        return message + (f"; {within} of them appeared within a day of it." if within else "."), nodes
    if code == "REPUTATION":
        return _tell_reputation(scorer, queries, row)
    if code == "COMMUNITY":
        return _tell_community(values, nodes)
    if code in {"SHARED_IDENTIFIERS", "LINKED_ACCOUNTS"}:
        return "How common its identifiers and counterparts are is typical of accounts found bad.", []
    return "The two hops around it resemble those of accounts found bad.", nodes


def _tell_reputation(scorer: Scorer, queries: Queries, row: int) -> tuple[str, list[dict[str, Any]]]:
    """The thing with the greatest share of known bad accounts; a single one is what contact tells of."""
    found = scorer.reputation(queries.take(np.array([row])))
    bad, others = int(found.n_bad[0]), int(found.n_others[0])
    if bad < 2:
        return "", []
    kind, key = kind_and_key(scorer.source, int(found.thing[0]))
    message = (
        f"Of the latest {how_many(others, 'other account')} on one {spoken(kind)} of it, "
        f"{bad:,} are confirmed bad."
    )
    return message, [{"type": "reputation", "kind": kind, "key": key, "latest": others, "known_bad": bad}]


def _tell_community(values: _Values, nodes: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The tightest group that is one."""
    names = [name for name in values.place if name.startswith("community.") and name.endswith(".size")]
    sizes = sorted(round(float(np.expm1(values.number(name)))) for name in names)
    size = next((size for size in sizes if size > 2), None)
    if size is None:
        return "The group that its links make it part of resembles those of accounts found bad.", nodes
    message = (
        f"Its links make it part of a group of {size:,} accounts that resembles those of accounts found bad."
    )
    return message, [{"type": "community", "accounts": size}, *nodes]


def _tell_attribute(scorer: Scorer, name: str, values: _Values) -> str:
    attribute = next(a for a in scorer.source.attributes if a.name == name)
    value = values.known(f"attribute.{name}")
    if value is None:
        return f"{spoken(name)} is not known."
    if attribute.type == "category":
        return f"{spoken(name)} is {attribute.categories[int(value)]}."
    if attribute.type == "flag":
        return f"{spoken(name)} is {'set' if value else 'not set'}."
    return f"{spoken(name)} is {value:,.6g}."


def _age(hours: float) -> str:
    if hours < 1:
        return "less than an hour"
    if hours < 48:
        return how_many(round(hours), "hour")
    return how_many(round(hours / 24), "day")
