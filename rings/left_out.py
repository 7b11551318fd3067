"""Why not: accounts that look linked to a ring and were left out, each with the reason."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from features import last_time_ms, profiles, view_of
from rings.contacts import entries_of
from rings.honest import likeness, spread_over
from rings.links import derived_kinds
from rings.wording import counted, noun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from rings.evidence import Evidence, Grounds

MOST: Final = 10
"""Accounts told of for one ring at most, the strongest first."""

REASONS: Final = {
    "cut_by_person": "A person called it not linked with members.",
    "is_hub": "It is a hub itself: too many deal with it for that to say anything.",
    "other_ring": "It is in another ring.",
    "behaves_differently": "It shares something with members, and behaves unlike them.",
    "apart_in_time": "It shares something with members, came to it at quite another time, and is not linked.",
    "unlikely_pair": "It was linked with members, and what a model knows of such pairs speaks against them.",
    "weak_links": "Every one of its links is too weak to hold a ring together.",
    "few_links": "It is linked with too few of the members.",
    "too_few": "It is tied more firmly to accounts in no ring, too few or too loosely for one of their own.",
    "loose": "Its links to all members together are less than what the grouping asks for.",
    "not_joined": "Its links would have done, and the grouping found it no place.",
    "only_hub": "It shares a hub with members, and is linked with none.",
}
"""What each code means. Codes are stable."""

# Users of a node whose other accounts are looked at: what more accounts touch makes nobody look linked.
_FEW_USERS: Final = 32
# A behaviour this much less alike than members are among themselves is a different one.
_UNLIKE: Final = 0.5
# Members that an account without a link is compared with, hubs of a ring that are told of, accounts on each.
_COMPARED: Final = 6
_HUBS: Final = 2
_ON_A_HUB: Final = 2


def left_out(grounds: Grounds) -> list[list[dict[str, Any]]]:
    """Tell for each ring which accounts look linked to it and were left out.

    Looked at are accounts outside the ring that are linked with a member, that share with one a node that few
    accounts touch, and, where these are fewer than `MOST`, some that share a hub with several.

    Args:
        grounds: The run's rings and links.

    Returns:
        For each ring at most `MOST` entries, the strongest first: ``account`` (index), ``account_id``,
        ``code`` (one of `REASONS`), ``strength`` (weight of its strongest link to a member; without a link,
        what sharing alone would have made of it), and the facts that the reason rests on; a ring is given
        by its number among all, ``other``.
    """
    table = _linked(grounds)
    table = pl.concat([table, _sharing(grounds, table)])
    table = (
        table.sort(["ring", "strength", "tie", "account"], descending=[False, True, True, False])
        .group_by("ring", maintain_order=True)
        .head(MOST)
    )
    table = _alike(grounds, table)
    named = grounds.snapshot.account_ids[table["account"].to_numpy()]
    table = table.with_columns(account_id=pl.Series(named, dtype=pl.String))
    facts = _Facts(grounds)
    found: list[list[dict[str, Any]]] = [[] for _ in range(len(grounds.density))]
    for row in table.iter_rows(named=True):
        found[row["ring"]].append(facts.entry(row))
    for ring, entries in enumerate(found):
        if len(entries) < MOST:
            known = {entry["account"] for entry in entries}
            entries += facts.on_hubs(ring, known)[: MOST - len(entries)]
    return found


_SCHEMA: Final = {
    "ring": pl.Int64,
    "account": pl.Int64,
    "strength": pl.Float64,
    "tie": pl.Float64,
    "n_links": pl.Int64,
    "via": pl.Int64,
    "linked": pl.Boolean,
}


def _linked(grounds: Grounds) -> pl.DataFrame:
    """Accounts outside a ring that are linked with members."""
    links, member = grounds.links, grounds.member
    parts = []
    for inner, outer in ((links.a, links.b), (links.b, links.a)):
        rows = (member[inner] >= 0) & (member[inner] != member[outer])
        parts.append(
            pl.DataFrame(
                {
                    "ring": member[inner[rows]].astype(np.int64),
                    "account": outer[rows].astype(np.int64),
                    "weight": links.weight[rows].astype(np.float64),
                    "via": links.via[rows].astype(np.int64),
                }
            )
        )
    return (
        pl.concat(parts)
        .sort("ring", "account", "weight", "via", descending=[False, False, True, False])
        .group_by("ring", "account", maintain_order=True)
        .agg(
            strength=pl.col("weight").max(),
            tie=pl.col("weight").sum(),
            n_links=pl.len().cast(pl.Int64),
            via=pl.col("via").first(),
            linked=pl.lit(value=True),
        )
        .select(*_SCHEMA)
        .cast(_SCHEMA)  # type: ignore[arg-type]
    )


def _sharing(grounds: Grounds, linked: pl.DataFrame) -> pl.DataFrame:
    """Accounts outside a ring that share something rare with members, and are not linked with any."""
    snapshot = grounds.snapshot
    view = view_of(snapshot)
    pointers, neighbours, positions = view.pairs(2 * len(view.sides))
    derived = list(derived_kinds(snapshot))
    rows = grounds.contacts.shared.filter(pl.col("users").is_between(3, _FEW_USERS)).select("ring", "node")
    node = rows["node"].to_numpy().astype(np.int64)
    plain = ~np.isin(np.asarray(snapshot.node_kind)[node], derived)
    ring, node = rows["ring"].to_numpy().astype(np.int64)[plain], node[plain]
    index, lengths = entries_of(pointers, node)
    account = np.asarray(view.node_account)[np.asarray(neighbours)[index]].astype(np.int64)
    home = np.repeat(ring, lengths)
    rare = np.repeat(1.0 / np.maximum(1.0, np.log2(np.maximum(lengths, 2))), lengths)
    via = np.repeat(node, lengths)
    outside = (np.asarray(positions)[index] < grounds.horizon) & (account >= 0)
    outside &= grounds.member[np.maximum(account, 0)] != home
    return (
        pl.DataFrame(
            {"ring": home[outside], "account": account[outside], "rare": rare[outside], "via": via[outside]}
        )
        .join(linked.select("ring", "account"), on=["ring", "account"], how="anti")
        .sort("ring", "account", "rare", "via", descending=[False, False, True, False])
        .group_by("ring", "account", maintain_order=True)
        .agg(
            strength=1.0 - (-pl.col("rare").sum()).exp(),
            tie=pl.lit(0.0),
            n_links=pl.lit(0, pl.Int64),
            via=pl.col("via").first(),
            linked=pl.lit(value=False),
        )
        .select(*_SCHEMA)
        .cast(_SCHEMA)  # type: ignore[arg-type]
    )


def _alike(grounds: Grounds, table: pl.DataFrame) -> pl.DataFrame:
    """Add how alike accounts without a link are to members, and members to each other."""
    alike = np.full(table.height, np.nan)
    members_alike = np.full(table.height, np.nan)
    rows = np.flatnonzero(~table["linked"].to_numpy())
    if len(rows):
        ring = table["ring"].to_numpy()[rows]
        asked, told = np.unique(ring, return_inverse=True)
        compared = [spread_over(grounds.accounts[at], _COMPARED) for at in asked]
        within = [np.triu_indices(len(members), 1) for members in compared]
        outside = table["account"].to_numpy()[rows]
        members_alike[rows] = _mean_likeness(
            grounds,
            [members[one] for members, (one, _) in zip(compared, within, strict=True)],
            [members[other] for members, (_, other) in zip(compared, within, strict=True)],
        )[told]
        alike[rows] = _mean_likeness(
            grounds,
            [compared[at] for at in told],
            [np.full(len(compared[at]), account) for at, account in zip(told, outside, strict=True)],
        )
    return table.with_columns(
        alike=pl.Series(alike, dtype=pl.Float64), members_alike=pl.Series(members_alike, dtype=pl.Float64)
    )


def _mean_likeness(
    grounds: Grounds, left: Sequence[NDArray[np.int64]], right: Sequence[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Mean likeness of pairs of accounts, by lists of them; 0 for an empty one."""
    counts = [len(some) for some in left]
    accounts, place = np.unique(np.concatenate([*left, *right]), return_inverse=True)
    table = profiles(grounds.snapshot, accounts, grounds.horizon)
    found = likeness(table, place[: sum(counts)], place[sum(counts) :])
    owner = np.repeat(np.arange(len(counts)), counts)
    return np.bincount(owner, found, minlength=len(counts)) / np.maximum(counts, 1)


class _Facts:
    """Finds the reason for one account at a time.

    Args:
        grounds: The run's rings and links.
    """

    def __init__(self, grounds: Grounds) -> None:
        self._grounds = grounds
        links, member = grounds.links, grounds.homes
        n_accounts = len(member)
        self._sizes = np.bincount(member[member >= 0], minlength=1)
        own, free = np.zeros(n_accounts), np.zeros(n_accounts)
        for one, other in ((links.a, links.b), (links.b, links.a)):
            weight = links.weight.astype(np.float64)
            same = (member[one] >= 0) & (member[one] == member[other])
            own += np.bincount(one[same], weight[same], minlength=n_accounts)
            nowhere = (member[one] < 0) & (member[other] < 0)
            free += np.bincount(one[nowhere], weight[nowhere], minlength=n_accounts)
        self._own_tie, self._free_tie = own, free
        self._once_linked = _once_linked(grounds)
        self._cut_of: dict[int, list[int]] = {}
        for left, right in _standing_cuts(grounds):
            self._cut_of.setdefault(left, []).append(right)
            self._cut_of.setdefault(right, []).append(left)

    def entry(self, row: dict[str, Any]) -> dict[str, Any]:
        """One account, with the code of the reason and what it rests on."""
        grounds = self._grounds
        account, ring = row["account"], row["ring"]
        size = len(grounds.accounts[ring])
        entry: dict[str, Any] = {
            "account": account,
            "account_id": row["account_id"],
            "strength": round(row["strength"], 4),
            "links": row["n_links"],
            "tie": round(row["tie"], 4),
            "of": size,
        }
        if row["via"] >= 0:
            entry["via"] = grounds.named(row["via"])
        return entry | self._reason(row, size)

    def _reason(self, row: dict[str, Any], size: int) -> dict[str, Any]:
        grounds = self._grounds
        account, ring, tie = row["account"], row["ring"], row["tie"]
        grouping = grounds.grouping
        n_cut = sum(1 for other in self._cut_of.get(account, []) if grounds.member[other] == ring)
        node = int(grounds.snapshot.account_node[account])
        home = int(grounds.homes[account])
        if n_cut:
            return {"code": "cut_by_person", "cut": n_cut}
        if int(grounds.snapshot.hub_since[node]) < grounds.horizon:
            return {"code": "is_hub"}
        if home >= 0:
            others = max(1, int(self._sizes[home]) - 1)
            return {
                "code": "other_ring",
                "other": home,
                "mean": round(tie / size, 4),
                "other_mean": round(float(self._own_tie[account]) / others, 4),
            }
        if not row["linked"]:
            # What model and scores turned down was neither too common nor too far apart in time for a link.
            key = ring * len(grounds.member) + account
            place = int(np.searchsorted(self._once_linked, key))
            if place < len(self._once_linked) and self._once_linked[place] == key:
                return {"code": "unlikely_pair"}
            code = "behaves_differently"
            if row["alike"] >= _UNLIKE * row["members_alike"]:
                code = "apart_in_time"
            return {
                "code": code,
                "alike": round(row["alike"], 2),
                "members_alike": round(row["members_alike"], 2),
            }
        mean = tie / size
        if row["strength"] < grouping.weak:
            return {"code": "weak_links", "least": grouping.weak}
        if float(self._free_tie[account]) > tie:
            return {"code": "too_few", "other_tie": round(float(self._free_tie[account]), 4)}
        if mean < grouping.resolution * grouping.least_tie:
            least = grouping.resolution * grouping.least_tie
            return {"code": "few_links", "mean": round(mean, 4), "least": round(least, 4)}
        if mean < grouping.resolution:
            return {"code": "loose", "mean": round(mean, 4), "least": grouping.resolution}
        return {"code": "not_joined", "mean": round(mean, 4)}

    def on_hubs(self, ring: int, known: set[int]) -> list[dict[str, Any]]:
        """Accounts that share a hub with members, those that came to it nearest to one."""
        grounds = self._grounds
        found: list[dict[str, Any]] = []
        for node, members in grounds.hubs_of.get(ring, [])[:_HUBS]:
            near, users = self._near_on_hubs[node][ring]
            others = [
                int(account)
                for account in near
                if account >= 0 and grounds.member[account] != ring and int(account) not in known
            ]
            for account in others[:_ON_A_HUB]:
                known.add(account)
                found.append(
                    {
                        "account": account,
                        "account_id": grounds.snapshot.account_ids[account],
                        "strength": 0.0,
                        "links": 0,
                        "tie": 0.0,
                        "of": len(grounds.accounts[ring]),
                        "via": grounds.named(node),
                        "code": "only_hub",
                        "members": members,
                        "users": users,
                    }
                )
        return found

    @cached_property
    def _near_on_hubs(self) -> dict[int, dict[int, tuple[NDArray[np.int64], int]]]:
        """By hub and ring the accounts that came to the hub nearest to the ring's first, and how many did.

        Each hub is read once, however many rings are on it.
        """
        grounds = self._grounds
        view = view_of(grounds.snapshot)
        pointers, neighbours, positions = view.pairs(2 * len(view.sides))
        wanted: dict[int, list[int]] = {}
        for ring, hubs in grounds.hubs_of.items():
            for node, _ in hubs[:_HUBS]:
                wanted.setdefault(node, []).append(ring)
        near: dict[int, dict[int, tuple[NDArray[np.int64], int]]] = {}
        for node, rings in wanted.items():
            here = slice(int(pointers[node]), int(pointers[node + 1]))
            there = np.asarray(view.node_account)[neighbours[here]].astype(np.int64)
            there = there[np.asarray(positions)[here] < grounds.horizon]
            at_home, first = np.unique(grounds.member[there], return_index=True)
            near[node] = {}
            for ring in rings:
                at = int(first[np.searchsorted(at_home, ring)])
                beside = [
                    there[at + 1 : at + 1 + _FEW_USERS],
                    there[max(0, at - _FEW_USERS) : at][::-1],
                ]
                near[node][ring] = np.concatenate(beside), len(there)
        return near


def _once_linked(grounds: Grounds) -> NDArray[np.int64]:
    """Accounts outside rings that were linked with members before a learned model weighed the links.

    Returns:
        ``int64[n]``, ring times number of accounts plus account, ascending.
    """
    links, member = grounds.unweighed, grounds.member
    if links is None:
        return np.zeros(0, np.int64)
    found = []
    for inner, outer in ((links.a, links.b), (links.b, links.a)):
        rows = (member[inner] >= 0) & (member[inner] != member[outer])
        found.append(member[inner[rows]].astype(np.int64) * len(member) + outer[rows])
    return np.unique(np.concatenate(found))


def _standing_cuts(grounds: Grounds) -> list[tuple[int, int]]:
    cuts = grounds.snapshot.cuts
    if not cuts.height:
        return []
    now_ms = last_time_ms(grounds.snapshot)
    standing = cuts.filter(
        (pl.col("known_pos") < grounds.horizon)
        & (pl.col("undone_pos").is_null() | (pl.col("undone_pos") >= grounds.horizon))
        & (pl.col("until_ms").is_null() | (pl.col("until_ms") > now_ms))
    )
    return list(standing.select("account", "other").iter_rows())


def left_out_words(entry: dict[str, Any], account_kind: str = "account") -> str:
    """Say why an account was left out, from the facts of its entry alone.

    Args:
        entry: As `left_out` gives it, with ``ring`` where it is in another one.
        account_kind: What accounts are called.

    Returns:
        One sentence without a full stop.
    """
    return f"{noun(account_kind)} {entry['account_id']} {_WORDS[entry['code']](entry)}"


def _via(entry: Evidence) -> str:
    return f"{noun(entry['via']['kind'])} {entry['via']['shown']}" if "via" in entry else "nothing"


def _links(entry: Evidence) -> str:
    return f"is linked with {entry['links']:,} of {counted(entry['of'], 'member')}"


_WORDS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "cut_by_person": lambda entry: (
        f"was called not linked with {counted(entry['cut'], 'member')} by a person"
    ),
    "is_hub": lambda entry: f"{_links(entry)} and is a hub: too many deal with it",
    "other_ring": lambda entry: (
        f"is in ring {entry['ring']}: linked by {entry['other_mean']:.3f} on average over all there, by"
        f" {entry['mean']:.3f} here"
    ),
    "behaves_differently": lambda entry: (
        f"shares {_via(entry)} and behaves differently: likeness {entry['alike']:.2f} to members,"
        f" {entry['members_alike']:.2f} among them"
    ),
    "apart_in_time": lambda entry: f"shares {_via(entry)}, too common or too far apart in time for a link",
    "unlikely_pair": lambda entry: (
        f"shares {_via(entry)}, but what is known of such pairs speaks against acting together"
    ),
    "weak_links": lambda entry: (
        f"{_links(entry)}, by {entry['strength']:.3f} at most; what holds a ring weighs {entry['least']:.3f}"
    ),
    "few_links": lambda entry: (
        f"{_links(entry)}, by {entry['mean']:.3f} on average over all; a member needs {entry['least']:.3f}"
    ),
    "too_few": lambda entry: (
        f"{_links(entry)}; its links weigh {entry['tie']:.2f} here and {entry['other_tie']:.2f} with accounts"
        " in no ring"
    ),
    "loose": lambda entry: (
        f"{_links(entry)}, by {entry['mean']:.3f} on average over all; a ring asks for {entry['least']:.3f}"
    ),
    "not_joined": lambda entry: (
        f"{_links(entry)}, by {entry['mean']:.3f} on average over all; the grouping put it in no ring"
    ),
    "only_hub": lambda entry: f"shares {_via(entry)}, a hub that {counted(entry['users'], 'account')} touch",
}


def hubs_touched(grounds: Grounds) -> dict[int, list[tuple[int, int]]]:
    """The hubs that at least two members of a ring touch.

    Args:
        grounds: The run's rings.

    Returns:
        For each ring nodes with the number of members on them, most members first.
    """
    view = view_of(grounds.snapshot)
    pointers, neighbours, positions = view.pairs(2 * len(view.sides) + 1)
    accounts: NDArray[np.int64] = np.flatnonzero(grounds.member >= 0)
    nodes = np.asarray(view.account_node)[accounts].astype(np.int64)
    index, lengths = entries_of(pointers, nodes)
    node = np.asarray(neighbours)[index]
    ring = np.repeat(grounds.member[accounts], lengths)
    kept = np.asarray(view.hub_since)[node] < grounds.horizon
    kept &= ~np.isin(np.asarray(view.node_kind)[node], list(derived_kinds(grounds.snapshot)))
    kept &= np.asarray(positions)[index] < grounds.horizon
    table = (
        pl.DataFrame({"ring": ring[kept], "node": node[kept]})
        .group_by("ring", "node")
        .len()
        .filter(pl.col("len") >= 2)
        .sort(["ring", "len", "node"], descending=[False, True, False])
    )
    found: dict[int, list[tuple[int, int]]] = {}
    for at, hub, members in table.iter_rows():
        found.setdefault(int(at), []).append((int(hub), int(members)))
    return found


def named_rings(
    entries: Sequence[dict[str, Any]], ids: Sequence[str], account_kind: str = "account"
) -> list[dict[str, Any]]:
    """Put rings' ids in place of their numbers, and the words to each entry.

    Args:
        entries: As `left_out` gives them.
        ids: Id of each ring by its number.
        account_kind: What accounts are called.

    Returns:
        New entries, with ``ring`` where the account is in another one, and ``words``.
    """
    named = []
    for at, entry in enumerate(entries):
        other = {"ring": ids[entry["other"]]} if "other" in entry else {}
        plain = {name: value for name, value in entry.items() if name != "other"} | other
        named.append({"id": f"n{at + 1}", **plain, "words": left_out_words(plain, account_kind)})
    return named
