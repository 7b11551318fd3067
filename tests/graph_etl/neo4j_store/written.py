"""Results written by hand, and what a database shows of a write-back; nothing of it needs a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from graph_etl.neo4j_store import Results, Target, connect, session
from graph_etl.neo4j_store.naming import labels_of
from graph_etl.neo4j_store.schema import FORMAT, STATE, create_constraints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_etl import Snapshot

LEVELS = ("low", "medium", "high", "critical")
Link = tuple[str, str, float, str]


def hold_accounts(target: Target, snapshot: Snapshot) -> None:
    """Make an empty database hold a snapshot as far as a write-back looks: its schema, state and accounts.

    Args:
        target: The database.
        snapshot: The snapshot.
    """
    with connect(target) as driver, session(driver, target) as opened:
        create_constraints(opened, labels_of(snapshot))
        opened.run(
            "CREATE (s:RingwatchState {name: $name, format: $format, data: $data, key_fingerprint: $key,"
            " snapshot: $snapshot}) WITH s UNWIND $ids AS id CREATE (:Account {id: id, hub: false})",
            name=STATE,
            format=FORMAT,
            data=snapshot.manifest["name"],
            key=snapshot.manifest["key_fingerprint"],
            snapshot=snapshot.id,
            ids=snapshot.account_ids.to_list(),
        ).consume()


def results_of(
    snapshot: Snapshot,
    run: str,
    rings: Mapping[str, Sequence[str]],
    *,
    links: Sequence[Link] = (),
    without: Sequence[str] = (),
    bundle: str | None = None,
) -> Results:
    """Results on a snapshot's accounts, each value told by the run's name and the account's place.

    Args:
        snapshot: The snapshot.
        run: Id of the run.
        rings: Members of each ring.
        links: Account, account, weight, reason; the smaller id first.
        without: Accounts to leave out.
        bundle: Version of the bundle; one named after the run if None.

    Returns:
        The results.
    """
    ids = [account for account in snapshot.account_ids.to_list() if account not in without]
    home = {account: ring for ring, members in rings.items() for account in members}
    shift = sum(run.encode()) % 97
    row = {account: at for at, account in enumerate(ids)}
    return Results(
        data=snapshot.manifest["name"],
        key_fingerprint=snapshot.manifest["key_fingerprint"],
        snapshot=snapshot.id,
        bundle=f"b-{run}" if bundle is None else bundle,
        run=run,
        accounts=pl.DataFrame(
            {
                "account": ids,
                "score": [(at + shift) % 101 / 101 for at in range(len(ids))],
                "percentile": [100 * at / len(ids) for at in range(len(ids))],
                "risk_level": [LEVELS[at % 4] for at in range(len(ids))],
                "ring": pl.Series([home.get(account) for account in ids], dtype=pl.String),
            }
        ),
        rings=pl.DataFrame(
            [
                {
                    "ring": ring,
                    "rank": at + 1,
                    "score": 1 / (at + 1),
                    "size": len(members),
                    "density": 0.5,
                    "synchrony": None,
                    "p_value": 0.001,
                    "q_value": 0.004,
                    "known_bad": 0,
                    "words": f"{len(members)} accounts of {ring}",
                }
                for at, (ring, members) in enumerate(rings.items())
            ],
            schema_overrides={"synchrony": pl.Float64},
        ),
        members=pl.DataFrame(
            [(ring, account, "member", 0.5) for ring, members in rings.items() for account in members],
            schema=["ring", "account", "role", "weight"],
            orient="row",
        ),
        links=pl.DataFrame(
            [(row[a], row[b], weight, because) for a, b, weight, because in links],
            schema={"a": pl.Int64, "b": pl.Int64, "weight": pl.Float64, "because": pl.String},
            orient="row",
        ).sort("a", "b"),
    )


def shown(target: Target) -> dict[str, Any]:
    """All that a write-back writes, but for the times at which it did.

    Args:
        target: The database.

    Returns:
        Scores by account, rings by id, members, links, successions, the state, and how much is staged.
    """
    with connect(target) as driver, session(driver, target) as opened:

        def rows(query: str) -> list[Any]:
            return [record.values() for record in opened.run(query)]

        scores = "[a.score, a.percentile, a.risk_level, a.ring, a.model_version]"
        return {
            "scores": dict(rows(f"MATCH (a:Account) WHERE a.score IS NOT NULL RETURN a.id, {scores}")),
            "rings": dict(rows("MATCH (r:Ring) RETURN r.id, r {.*, id: null, superseded_at: null}")),
            "members": sorted(
                rows("MATCH (a)-[m:MEMBER_OF]->(r:Ring) RETURN r.id, a.id, m.role, m.weight"),
            ),
            "links": sorted(rows("MATCH (a)-[l:LINKED_TO]->(b) RETURN a.id, b.id, l.weight, l.because")),
            "successions": sorted(rows("MATCH (o:Ring)-[:SUCCEEDED_BY]->(n:Ring) RETURN o.id, n.id")),
            "state": rows("MATCH (s:RingwatchState) RETURN s.run, s.bundle, s.turn, s.snapshot"),
            "staged": rows(
                "MATCH (n) WHERE n:RingStaged OR n:RingwatchCheckpoint AND n.slot = 'write-back'"
                " RETURN count(n)"
            ),
        }
