"""Writing scores, rings and links back into Neo4j: what is new is staged out of sight, then one switch.

A ring and its members are written as ``:RingStaged``, in parts with a checkpoint each, so that they are
whole before anybody sees them; they never change afterwards. One transaction then does the rest: scores and
links that differ, the staged rings become ``:Ring``, those before them superseded. Killed at any point, the
database shows the run before or the new one, and the next call goes on from there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from graph_etl.neo4j_store.connection import GraphStoreError, connect, session
from graph_etl.neo4j_store.schema import STATE, check_owner
from graph_etl.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from neo4j import Session, Transaction

    from graph_etl.neo4j_store.connection import Target
    from graph_etl.neo4j_store.results import AccountPart, Results

SLOT: Final = "write-back"
"""``slot`` of the checkpoint; its lock lets one write-back at a time into a database."""

KEEP: Final = 10
"""Superseded runs whose rings stay."""

_RINGS_AT_ONCE: Final = 1_000
_ATTEMPTS: Final = 6

_LOCK: Final = (
    "MERGE (c:RingwatchCheckpoint {slot: $slot}) SET c.slot = c.slot WITH c"
    " MATCH (s:RingwatchState {name: $state})"
    " RETURN c.run AS run, c.before AS before, c.snapshot AS snapshot, c.staged AS staged,"
    " s.run AS current, coalesce(s.turn, 0) AS turn, s.snapshot AS holds, s.loading AS loading"
)
_STAGE: Final = (
    "UNWIND $rows AS r CREATE (n:RingStaged) SET n = r.ring, n += $shared"
    " WITH n, r UNWIND r.members AS m MATCH (a:Account {id: m[0]})"
    " CREATE (a)-[:MEMBER_OF {role: m[1], weight: m[2]}]->(n)"
)
_READ: Final = (
    "UNWIND range(0, size($ids) - 1) AS at MATCH (a:Account {id: $ids[at]})"
    " RETURN at, [a.score, a.percentile, a.risk_level, a.ring, a.model_version] AS said,"
    " [(a)-[l:LINKED_TO]->(b:Account) | [b.id, l.weight, l.because]] AS links"
)
_SCORE: Final = (
    "UNWIND $rows AS r MATCH (a:Account {id: r[0]}) SET a.score = r[1], a.percentile = r[2],"
    " a.risk_level = r[3], a.ring = r[4], a.model_version = r[5]"
)
_PAIR: Final = "UNWIND $rows AS r MATCH (a:Account {id: r[0]}) MATCH (b:Account {id: r[1]}) "
_LINK: Final = _PAIR + "CREATE (a)-[:LINKED_TO {weight: r[2], because: r[3]}]->(b)"
_RELINK: Final = _PAIR + "MATCH (a)-[l:LINKED_TO]->(b) SET l.weight = r[2], l.because = r[3]"
_UNLINK: Final = _PAIR + "MATCH (a)-[l:LINKED_TO]->(b) DELETE l"
_CLEAR: Final = (
    "UNWIND $ids AS id MATCH (a:Account {id: id})"
    " REMOVE a.score, a.percentile, a.risk_level, a.ring, a.model_version"
    " WITH a MATCH (a)-[l:LINKED_TO]-(:Account) WITH DISTINCT l DELETE l"
)
# The same as of `rings.identity`: a ring goes over into those that took two members and a fifth of it.
_SUCCEED: Final = (
    "MATCH (n:RingStaged)<-[:MEMBER_OF]-(:Account)-[:MEMBER_OF]->(o:Ring) WHERE o.superseded = false"
    " WITH o, n, count(*) AS both WHERE o.id <> n.id AND both >= 2 AND both >= 0.2 * o.size"
    " CREATE (o)-[:SUCCEEDED_BY]->(n)"
)
_CONTINUE: Final = (
    "MATCH (n:RingStaged) MATCH (o:Ring {id: n.id}) WHERE o.superseded = false"
    " CREATE (o)-[:SUCCEEDED_BY]->(n)"
)
_SUPERSEDE: Final = (
    "MATCH (o:Ring) WHERE o.superseded = false SET o.id = o.id + '@' + toString(o.turn),"
    " o.superseded = true, o.superseded_at = datetime({epochMillis: $now}) RETURN count(o) AS n"
)
_SHOW: Final = "MATCH (n:RingStaged) SET n:Ring REMOVE n:RingStaged RETURN count(n) AS n"
_STATE: Final = (
    "MATCH (s:RingwatchState {name: $state}) SET s.run = $run, s.bundle = $bundle, s.turn = $turn,"
    " s.scored_at = datetime({epochMillis: $now})"
)


@dataclass(frozen=True, slots=True)
class WriteBackReport:
    """What a write-back did.

    Attributes:
        run: Id of the rings run that the database shows now.
        bundle: Version of the bundle.
        accounts: Accounts that have a score now.
        accounts_changed: Accounts whose score, percentile, risk level, ring or version was another.
        accounts_cleared: Accounts that lost what an earlier run had said of them.
        rings: Rings of the run.
        rings_created: Rings that came into sight; 0 if the database showed this run before.
        rings_superseded: Rings that stood until now.
        successions: ``SUCCEEDED_BY`` relationships from these to those.
        rings_forgotten: Superseded rings of runs too old to be kept.
        links: Links of the run.
        links_created: Links that were not there.
        links_changed: Links with another weight or reason.
        links_removed: Links that do not hold any more.
        switch_s: Seconds that the transaction of the switch took.
        seconds: How long it all took.
    """

    run: str
    bundle: str
    accounts: int
    accounts_changed: int
    accounts_cleared: int
    rings: int
    rings_created: int
    rings_superseded: int
    successions: int
    rings_forgotten: int
    links: int
    links_created: int
    links_changed: int
    links_removed: int
    switch_s: float
    seconds: float

    @property
    def changed(self) -> int:
        """How many accounts, rings and links are not as they were."""
        return (
            self.accounts_changed
            + self.accounts_cleared
            + self.rings_created
            + self.rings_superseded
            + self.rings_forgotten
            + self.links_created
            + self.links_changed
            + self.links_removed
        )


def write_back(
    target: Target,
    results: Results,
    *,
    keep: int = KEEP,
    batch: int = 5_000,
    progress: Callable[[str, int, int], None] | None = None,
) -> WriteBackReport:
    """Make a database show scores, rings and links of one run, all at once.

    Args:
        target: The database; it holds the snapshot of the results, or a later one with all their accounts.
        results: What to write.
        keep: Superseded runs whose rings stay.
        batch: Accounts, members and links that are sent at once; bounds the memory of the client.
        progress: Told the step, what is done and of how much.

    Returns:
        What was done; written a second time nothing is.

    Raises:
        GraphStoreError: If the database cannot be used, holds something else or too little, or somebody else
            writes back meanwhile. It shows the run before, whole.
    """
    return _WriteBack(target, results, keep, batch, progress or silent).run()


@dataclass(frozen=True, slots=True)
class _Base:
    """What the database shows before the switch, read under the lock."""

    run: str | None
    turn: int
    snapshot: str


@dataclass(slots=True)
class _Counts:
    """What one attempt of the switch did."""

    found: int = 0
    scored: int = 0
    cleared: int = 0
    superseded: int = 0
    created: int = 0
    successions: int = 0
    linked: int = 0
    relinked: int = 0
    unlinked: int = 0

    @property
    def any(self) -> bool:
        return any((self.scored, self.cleared, self.created, self.linked, self.relinked, self.unlinked))


@dataclass(frozen=True, slots=True)
class _WriteBack:
    target: Target
    results: Results
    keep: int
    batch: int
    tell: Callable[[str, int, int], None]

    def run(self) -> WriteBackReport:
        started = time.monotonic()
        results = self.results
        with connect(self.target) as driver, session(driver, self.target) as opened:
            base = self._check(opened)
            if base.run == results.run:
                _discard(opened)
            else:
                self._stage(opened, base)
            began = time.monotonic()
            counts = self._switch(opened, base)
            switch_s = time.monotonic() - began
            forgotten = self._forget(opened)
        return WriteBackReport(
            run=results.run,
            bundle=results.bundle,
            accounts=counts.found,
            accounts_changed=counts.scored,
            accounts_cleared=counts.cleared,
            rings=len(results.rings),
            rings_created=counts.created,
            rings_superseded=counts.superseded,
            successions=counts.successions,
            rings_forgotten=forgotten,
            links=len(results.links),
            links_created=counts.linked,
            links_changed=counts.relinked,
            links_removed=counts.unlinked,
            switch_s=switch_s,
            seconds=time.monotonic() - started,
        )

    def _check(self, opened: Session) -> _Base:
        state = check_owner(opened, self.target, self.results.data, self.results.key_fingerprint)
        load = "run `ringwatch neo4j load`, then this again"
        if state is None:
            self._refuse(f"holds no graph yet; {load}")
        if state.get("snapshot") is None or state.get("loading") is not None:
            self._refuse(f"the load of snapshot {state.get('loading')} has not come to its end; {load}")
        return _Base(state.get("run"), int(state.get("turn") or 0), str(state["snapshot"]))

    def _refuse(self, problem: str) -> NoReturn:
        message = f"{self.target.shown}: {problem}"
        raise GraphStoreError(message)

    def _locked(self, transaction: Transaction, base: _Base) -> dict[str, Any]:
        """Keep other write-backs out until the transaction ends, and see that none came before."""
        found = transaction.run(_LOCK, slot=SLOT, state=STATE).single(strict=True).data()
        if (found["current"], found["turn"]) != (base.run, base.turn):
            self._refuse("something else was written back meanwhile; run the command again")
        if found["holds"] != base.snapshot or found["loading"] is not None:
            self._refuse("a snapshot is being loaded; run the command again once that is done")
        return found

    def _stage(self, opened: Session, base: _Base) -> None:
        """Write rings and members out of sight; what an earlier call had staged of this run stays."""
        results, total = self.results, len(self.results.members)
        begun = {"run": results.run, "before": base.run or "", "snapshot": base.snapshot}
        with opened.begin_transaction() as transaction:
            found = self._locked(transaction, base)
        staged = int(found["staged"] or 0)
        if {name: found[name] for name in begun} != begun:
            _discard(opened)
            staged = 0
            with opened.begin_transaction() as transaction:
                self._locked(transaction, base)
                self._note(transaction, staged, begun)
                transaction.commit()
        shared = {"run": results.run, "bundle": results.bundle, "turn": base.turn + 1, "superseded": False}
        done = int(results.members["ring"].is_in(results.rings["ring"].head(staged).implode()).sum())
        for part in results.ring_parts(staged, self.batch):
            self.tell("rings", done, total)
            with opened.begin_transaction() as transaction:
                if self._locked(transaction, base)["staged"] != staged:
                    self._refuse("somebody else is writing back; run the command again later")
                transaction.run(_STAGE, rows=part, shared=shared).consume()
                staged += len(part)
                self._note(transaction, staged, begun)
                transaction.commit()
            done += sum(len(ring["members"]) for ring in part)
        self.tell("rings", total, total)

    def _note(self, transaction: Transaction, staged: int, begun: dict[str, str]) -> None:
        transaction.run(
            "MATCH (c:RingwatchCheckpoint {slot: $slot}) SET c += $begun, c.staged = $staged",
            slot=SLOT,
            begun=begun,
            staged=staged,
        ).consume()

    def _switch(self, opened: Session, base: _Base) -> _Counts:
        """Do it in one transaction; one that got into another's way is done again."""
        from neo4j.exceptions import TransientError

        for attempt in range(_ATTEMPTS):
            try:
                with opened.begin_transaction() as transaction:
                    counts = self._write(transaction, base)
                    if counts.any or base.run != self.results.run:
                        self.tell("switch", 0, 1)
                        transaction.commit()
                return counts
            except TransientError as error:
                # Deadlocks with a load or a follower pass; too little memory does not.
                if "OutOfMemory" in str(error.code) or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.2 * 2**attempt)
        raise AssertionError

    def _write(self, transaction: Transaction, base: _Base) -> _Counts:
        results, counts = self.results, _Counts()
        now = time.time_ns() // 1_000_000
        found = self._locked(transaction, base)
        if base.run != results.run and (found["run"], found["staged"]) != (results.run, len(results.rings)):
            self._refuse("somebody else is writing back; run the command again later")
        total, done = len(results.accounts), 0
        for part in results.account_parts(self.batch):
            self.tell("scores and links", done, total)
            self._write_part(transaction, part, counts)
            done += len(part.ids)
        if counts.found < total and base.snapshot != results.snapshot:
            # Of the very snapshot only what was erased is missing; another may be an earlier one.
            self._refuse(
                f"lacks {total - counts.found:,} of {total:,} accounts of snapshot {results.snapshot};"
                " run `ringwatch neo4j load`, then this again"
            )
        self._clear(transaction, counts)
        turn = base.turn
        if base.run != results.run:
            turn += 1
            for statement in (_CONTINUE, _SUCCEED):
                did = transaction.run(statement).consume().counters
                counts.successions += did.relationships_created
            counts.superseded = transaction.run(_SUPERSEDE, now=now).single(strict=True)["n"]
            counts.created = transaction.run(_SHOW).single(strict=True)["n"]
        transaction.run("MATCH (c:RingwatchCheckpoint {slot: $slot}) DELETE c", slot=SLOT).consume()
        # The state comes last: who holds its lock to read one run holds nobody up for longer than the commit.
        if counts.any or base.run != results.run:
            transaction.run(
                _STATE, state=STATE, run=results.run, bundle=results.bundle, turn=turn, now=now
            ).consume()
        return counts

    def _write_part(self, transaction: Transaction, part: AccountPart, counts: _Counts) -> None:
        scores: list[tuple[Any, ...]] = []
        new: list[tuple[Any, ...]] = []
        other: list[tuple[Any, ...]] = []
        gone: list[tuple[Any, ...]] = []
        for at, said, links in transaction.run(_READ, ids=part.ids):
            counts.found += 1
            account, wanted = part.ids[at], part.links[at]
            if tuple(said) != part.values[at]:
                scores.append((account, *part.values[at]))
            there = {end: (weight, because) for end, weight, because in links}
            for end, link in wanted.items():
                if end not in there:
                    new.append((account, end, *link))
                elif there[end] != link:
                    other.append((account, end, *link))
            gone += [(account, end) for end in there if end not in wanted]
        transaction.run(_SCORE, rows=scores).consume()
        counts.scored += len(scores)
        for low in range(0, len(new), self.batch):
            did = transaction.run(_LINK, rows=new[low : low + self.batch]).consume().counters
            counts.linked += did.relationships_created
        transaction.run(_RELINK, rows=other).consume()
        counts.relinked += len(other)
        did = transaction.run(_UNLINK, rows=gone).consume().counters
        counts.unlinked += did.relationships_deleted

    def _clear(self, transaction: Transaction, counts: _Counts) -> None:
        """Take from accounts that are not in the results what an earlier run said of them."""
        scored = "MATCH (a:Account) WHERE a.model_version IS NOT NULL"
        if transaction.run(f"{scored} RETURN count(a) AS n").single(strict=True)["n"] == counts.found:
            return
        known = set(self.results.accounts["account"])
        found = transaction.run(f"{scored} RETURN a.id")
        stale = [account for (account,) in found if account not in known]
        for low in range(0, len(stale), self.batch):
            did = transaction.run(_CLEAR, ids=stale[low : low + self.batch]).consume().counters
            counts.unlinked += did.relationships_deleted
        counts.cleared = len(stale)

    def _forget(self, opened: Session) -> int:
        """Delete superseded rings of runs that are too old, a part at a time."""
        forgotten = 0
        while True:
            did = opened.run(
                "MATCH (s:RingwatchState {name: $state}) MATCH (o:Ring)"
                " WHERE o.superseded = true AND o.turn < s.turn - $keep"
                " WITH o LIMIT $limit DETACH DELETE o",
                state=STATE,
                keep=self.keep,
                limit=_RINGS_AT_ONCE,
            ).consume()
            forgotten += did.counters.nodes_deleted
            if did.counters.nodes_deleted < _RINGS_AT_ONCE:
                return forgotten


def _discard(opened: Session) -> None:
    """Delete what is staged, and with the last of it the checkpoint."""
    while True:
        did = opened.run(
            "MATCH (n:RingStaged) WITH n LIMIT $limit DETACH DELETE n", limit=_RINGS_AT_ONCE
        ).consume()
        if did.counters.nodes_deleted < _RINGS_AT_ONCE:
            break
    opened.run("MATCH (c:RingwatchCheckpoint {slot: $slot}) DELETE c", slot=SLOT).consume()
