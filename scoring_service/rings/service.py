"""Lists and explains rings; cursors are bound to the run and to the filters that they were made for."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rings.benign import OPEN, Confirmed, Standing
from rings.cypher import ring_queries, without_query
from rings.honest import EXPLAINED
from scoring_service.errors import AccountNotFound, CursorExpired, CursorInvalid, RingNotFound
from scoring_service.loading import Loaded, plain
from scoring_service.rings.presentation import evidence_text
from scoring_service.rings.registry import confirmed_now
from scoring_service.rings.repository import RingRepository
from scoring_service.rings.schemas import (
    BenignAnswer,
    BenignRequest,
    RingCypher,
    RingDetail,
    RingFilter,
    RingLeftOut,
    RingMember,
    RingPage,
    RingStanding,
    RingSummary,
    Sentence,
)
from scoring_service.rings.standing import BenignGroups
from scoring_service.risk.reading import iso

MAX_SCORED = 50
"""Members whose score the bundle does not hold are scored anew, at most so many: the loop waits for it."""


class RingService:
    """Answers questions about the rings of the current run.

    Args:
        loaded: The generation that answers.
        standings: What became of the groups that people confirmed to be benign, by ring id.
    """

    def __init__(self, loaded: Loaded, standings: Mapping[str, Standing]) -> None:
        self._loaded = loaded
        self._standings = standings

    def page(self, wanted: RingFilter) -> RingPage:
        """Return one page of the ranked list.

        Args:
            wanted: Filters, size of the page and cursor.

        Returns:
            The page.

        Raises:
            RingsUnavailable: If there is no rings run.
            AccountNotFound: If the filter names an account that the graph does not hold.
            CursorInvalid: If the cursor was not made for this list and these filters.
            CursorExpired: If the cursor belongs to another run.
        """
        rings = self._loaded.require_rings()
        account = None
        if wanted.account is not None:
            account = self._loaded.reader.account_key(wanted.account)
            if self._loaded.accounts.find(account) is None:
                raise AccountNotFound(wanted.account, self._loaded.graph_as_of)
        # By rank, not by count: a ring that is called benign between two pages leaves no gap.
        after = 0 if wanted.cursor is None else _read_cursor(wanted.cursor, rings.run.id, wanted)
        rows, total, more = rings.select(wanted, account, after, self._standings)
        return RingPage(
            rings=[self._summary(row) for row in rows],
            total=total,
            next_cursor=_make_cursor(rows[-1]["rank"], rings.run.id, wanted) if more else None,
            run=rings.run.id,
            graph_as_of=self._loaded.graph_as_of,
            simulated=self._loaded.simulated,
        )

    def detail(self, ring_id: str) -> RingDetail:
        """Return one ring with all that speaks for it.

        Args:
            ring_id: Id of the ring.

        Returns:
            The ring.

        Raises:
            RingsUnavailable: If there is no rings run.
            RingNotFound: If the run does not hold the ring.
        """
        rings = self._loaded.require_rings()
        row = rings.row(ring_id)
        if row is None:
            raise RingNotFound(ring_id[:64], rings.run.id)
        explained = rings.explain(ring_id)
        cypher = self._cypher(rings, ring_id, explained)
        asked = {query.id for query in cypher}
        evidence = [
            {
                **piece,
                "text": evidence_text(piece),
                "not_in_neo4j": None if piece["id"] in asked else without_query(piece),
            }
            for piece in plain(explained["evidence"])
        ]
        return RingDetail(
            ring=self._summary(row),
            sentences=_sentences(explained),
            evidence=evidence,
            minimal=next((piece for piece in evidence if piece["type"] == "minimal"), None),
            left_out=[_left_out(entry) for entry in plain(explained.get("left_out", []))],
            members=self._members(rings, ring_id),
            timeline=[{**entry, "time": iso(entry["time_ms"])} for entry in plain(explained["timeline"])],
            subgraph=plain(explained["subgraph"]),
            cypher=cypher,
            run=rings.run.id,
            graph_as_of=self._loaded.graph_as_of,
            simulated=self._loaded.simulated,
        )

    def confirm(self, ring_id: str, request: BenignRequest) -> Confirmed:
        """Look at a ring as a person confirms that it is benign.

        Args:
            ring_id: Id of the ring.
            request: Who says so, and why.

        Returns:
            The group, to be kept.

        Raises:
            RingsUnavailable: If there is no rings run.
            RingNotFound: If the run does not hold the ring.
        """
        names = self.members_of(ring_id)
        loaded = self._loaded
        bad = [
            name
            for name, account in ((name, loaded.accounts.find(name)) for name in names)
            if account is not None and loaded.accounts.is_known_bad(account)
        ]
        evidence = loaded.require_rings().explain(ring_id)["evidence"]
        return confirmed_now(ring_id, names, bad, evidence, source=request.source, reason=request.reason)

    def members_of(self, ring_id: str) -> list[str]:
        """Return the account ids of a ring's members, as they are stored.

        Raises:
            RingsUnavailable: If there is no rings run.
            RingNotFound: If the run does not hold the ring.
        """
        rings = self._loaded.require_rings()
        if rings.row(ring_id) is None:
            raise RingNotFound(ring_id[:64], rings.run.id)
        return [member["account_id"] for member in rings.members(ring_id)]

    async def read_again(self, groups: BenignGroups) -> "RingService":
        """Return the same service after the registry has changed."""
        return RingService(self._loaded, await groups.standings(self._loaded))

    def standing(self, ring_id: str) -> BenignAnswer:
        """Return what people said of a ring and what became of it."""
        found = self._standings.get(ring_id)
        return BenignAnswer(
            id=ring_id,
            status=OPEN if found is None else found.status,
            benign=None if found is None else _standing(found),
            run=self._loaded.require_rings().run.id,
        )

    def _summary(self, row: dict[str, Any]) -> RingSummary:
        return summary(row, self._standings.get(row["ring"]))

    def _cypher(self, rings: RingRepository, ring_id: str, explained: dict[str, Any]) -> list[RingCypher]:
        account_ids = [member["account_id"] for member in rings.members(ring_id)]
        queries = ring_queries(self._loaded.snapshot, ring_id, account_ids, explained["evidence"])
        return [RingCypher.model_validate(query, from_attributes=True) for query in queries]

    def _members(self, rings: RingRepository, ring_id: str) -> list[RingMember]:
        loaded = self._loaded
        shown = []
        for place, member in enumerate(rings.members(ring_id)):
            account = loaded.accounts.find(member["account_id"])
            score = None
            if account is not None:
                score, _ = loaded.last_score(account)
                if score is None and place < MAX_SCORED:
                    score, _ = loaded.score_now(account)
            shown.append(
                RingMember(
                    account_id=member["account_id"],
                    role=member["role"],
                    weight=member["weight"],
                    score=score,
                    known_bad=account is not None and loaded.accounts.is_known_bad(account),
                )
            )
        return shown


def summary(row: dict[str, Any], standing: Standing | None = None) -> RingSummary:
    """Return a row of the ranked table as it is sent."""
    return RingSummary.model_validate(
        {
            "id": row["ring"],
            "rank": row["rank"],
            "score": row["score"],
            "size": row["size"],
            "density": row["density"],
            "synchrony": row["synchrony"],
            "p_value": row["p_value"],
            "q_value": row["q_value"],
            "known_bad": row["n_known_bad"],
            # Runs of before do not tell.
            "explained_benign": (row.get("honest") or 0.0) >= EXPLAINED,
            "status": OPEN if standing is None else standing.status,
            "benign": None if standing is None else _standing(standing),
            "words": row["words"],
            "parents": row["parents"] or [],
        }
    )


def _standing(found: Standing) -> RingStanding:
    return RingStanding(
        confirmed_at=iso(found.confirmed.confirmed_ms),
        source=found.confirmed.source,
        reason=found.confirmed.reason,
        accounts=len(found.confirmed.members),
        new_accounts=found.new_accounts,
        new_bad=found.new_bad,
        new_evidence=list(found.new_evidence),
    )


def _left_out(entry: dict[str, Any]) -> RingLeftOut:
    told = {"id", "account_id", "code", "strength", "words"}
    facts = {name: value for name, value in entry.items() if name not in told | {"account"}}
    return RingLeftOut(**{name: entry[name] for name in told}, facts=facts)


def _sentences(explained: dict[str, Any]) -> list[Sentence]:
    return [
        Sentence(text=str(sentence["text"]), evidence=[str(ref) for ref in sentence["evidence"]])
        for sentence in explained["sentences"]
    ]


def _filter_hash(wanted: RingFilter) -> str:
    asked = wanted.model_dump_json(exclude={"cursor", "limit"})
    return hashlib.blake2b(asked.encode(), digest_size=6).hexdigest()


def _make_cursor(start: int, run_id: str, wanted: RingFilter) -> str:
    document = json.dumps([1, run_id, _filter_hash(wanted), start], separators=(",", ":"))
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, run_id: str, wanted: RingFilter) -> int:
    problem = "cannot be read"
    try:
        document = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        version, run_of_cursor, filter_hash, start = document
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise CursorInvalid(problem) from None
    if version != 1 or not isinstance(run_of_cursor, str) or type(start) is not int or not 0 <= start < 2**31:
        raise CursorInvalid(problem)
    if run_of_cursor != run_id:
        raise CursorExpired(run_of_cursor[:64], run_id)
    if filter_hash != _filter_hash(wanted):
        problem = "was made for other filters"
        raise CursorInvalid(problem)
    return start
