"""What a model and a search for rings found, as plain tables, ready to be written into Neo4j."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl


@dataclass(frozen=True, slots=True)
class Results:
    """Scores, rings and links of one bundle and one rings run.

    Attributes:
        data: Name of the data set.
        key_fingerprint: Which key its identifiers are hashed with; None without private kinds.
        snapshot: Id of the snapshot that they were found on.
        bundle: Version of the bundle.
        run: Id of the rings run.
        accounts: One row an account: ``account`` (its id as stored), ``score`` (0 to 1, null: unknown),
            ``percentile`` (0 to 100), ``risk_level``, ``ring`` (null without one).
        rings: One row a ring: ``ring``, ``rank``, ``score``, ``size``, ``density``, ``synchrony`` (null
            without times), ``p_value``, ``q_value``, ``known_bad``, ``words``.
        members: One row a member: ``ring``, ``account``, ``role``, ``weight``.
        links: One row a link: ``a``, ``b`` (rows of ``accounts``, the smaller id first), ``weight``,
            ``because``; sorted by ``a``.
    """

    data: str
    key_fingerprint: str | None
    snapshot: str
    bundle: str
    run: str
    accounts: pl.DataFrame
    rings: pl.DataFrame
    members: pl.DataFrame
    links: pl.DataFrame

    def account_parts(self, size: int) -> Iterator[AccountPart]:
        """Cut the accounts into parts, each with the links that begin there.

        Args:
            size: Accounts in a part.

        Yields:
            The parts, in order.
        """
        accounts = self.accounts.select("account", "score", "percentile", "risk_level", "ring")
        begins = self.links["a"].to_numpy()
        names = self.accounts["account"]
        for low in range(0, len(accounts), size):
            part = accounts.slice(low, size)
            first, stop = (int(at) for at in np.searchsorted(begins, [low, low + len(part)]))
            rows = self.links.slice(first, stop - first)
            wanted: list[dict[str, tuple[float, str]]] = [{} for _ in range(len(part))]
            ends = names.gather(rows["b"])
            for a, b, weight, because in zip(rows["a"], ends, rows["weight"], rows["because"], strict=True):
                wanted[a - low][b] = (weight, because)
            yield AccountPart(
                part["account"].to_list(),
                [(*row, self.bundle) for row in part.drop("account").rows()],
                wanted,
            )

    def ring_parts(self, first: int, members: int) -> Iterator[list[dict[str, Any]]]:
        """Cut the rings into parts.

        Args:
            first: Rings to leave out, from the start.
            members: A part ends with the ring that brings it to so many.

        Yields:
            For each ring its properties, ``id`` for its name, and under ``members`` the account, role and
            weight of each.
        """
        company: dict[str, list[tuple[str, str, float]]] = {ring: [] for ring in self.rings["ring"]}
        for ring, *member in self.members.select("ring", "account", "role", "weight").iter_rows():
            company[ring].append(tuple(member))
        part: list[dict[str, Any]] = []
        n_members = 0
        for row in self.rings.slice(first).iter_rows(named=True):
            ring = row.pop("ring")
            part.append({"ring": {"id": ring, **row}, "members": company[ring]})
            n_members += len(company[ring])
            if n_members >= members:
                yield part
                part, n_members = [], 0
        if part:
            yield part


@dataclass(frozen=True, slots=True)
class AccountPart:
    """Some accounts with what is to be written of them.

    Attributes:
        ids: Their ids.
        values: For each ``score``, ``percentile``, ``risk_level``, ``ring``, ``model_version``.
        links: For each the weight and the reason of its links, by the other account's id, which is greater.
    """

    ids: list[str]
    values: list[tuple[Any, ...]]
    links: list[dict[str, tuple[float, str]]]
