"""What is shown as shared is what the graph holds, in a snapshot and in what has happened since."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from features import LiveGraph, Queries
from gnn import Bundle, Scorer, reasons
from gnn.shared_nodes import SharedNode, shared_nodes
from graph_etl import JournalRow, LiveEvent, Snapshot


def expected_of(snapshot: Snapshot, account: int, horizon: int) -> list[SharedNode]:
    """The same from the relations' edges, one by one."""
    node_account = np.asarray(snapshot.node_account)
    met: dict[int, dict[int, int]] = defaultdict(dict)  # account node -> node -> first position
    for relation in snapshot.relations:
        for csr in (relation.pair_out, relation.pair_in):
            starts = np.repeat(np.arange(snapshot.n_nodes), np.diff(csr.indptr))
            for start, end, place in zip(starts, np.asarray(csr.nbr), np.asarray(csr.pos), strict=True):
                if node_account[start] >= 0:
                    seen = met[int(start)]
                    seen[int(end)] = min(int(place), seen.get(int(end), int(place)))
    own = int(snapshot.account_node[account])
    first_ms = np.asarray(snapshot.first_seen_ms)

    def close(other: int) -> float:
        return 0.2 + 0.8 * float(np.exp(-abs(int(first_ms[other]) - int(first_ms[account])) / 86_400_000))

    found = []
    for node, first in met[own].items():
        if first >= horizon or snapshot.hub_since[node] < horizon:
            continue
        users = sorted(
            (touched[node], int(node_account[user]))
            for user, touched in met.items()
            if user != own and touched.get(node, horizon) < horizon
        )
        if users:
            tie = sum(close(other) for _, other in users[-16:]) / max(1.0, np.log2(len(users) + 1))
            if node_account[node] >= 0:
                tie += close(int(node_account[node]))
            found.append((-round(tie, 9), len(users), node, [other for _, other in users]))
    return [
        SharedNode(
            snapshot.kinds[int(snapshot.node_kind[node])].name,
            snapshot.node_keys[node],
            count + 1,
            [snapshot.account_ids[other] for other in others[-5:]],
        )
        for _, count, node, others in sorted(found)[:5]
    ]


@pytest.mark.parametrize("moment", ["signup", "retrospective"])
def test_what_ties_the_account_most_comes_first(moment: str, timed_snapshot: Snapshot) -> None:
    asked = Queries.for_accounts(timed_snapshot, moment=moment)
    shared = 0
    for account in range(3, timed_snapshot.n_accounts, 31):
        found = shared_nodes(timed_snapshot, asked, account)
        expected = expected_of(timed_snapshot, account, int(asked.horizon[account]))
        assert [replace(one, others=[]) for one in found] == [replace(one, others=[]) for one in expected]
        for one, other in zip(found, expected, strict=True):
            # Accounts that came with the same row stand in no order of their own.
            assert len(one.others) == len(set(one.others)) == len(other.others)
        shared += len(found)
    assert shared > 3  # not vacuous


def test_what_came_since_the_snapshot_is_shown_and_told(
    timed_snapshot: Snapshot, timed_bundle: Bundle
) -> None:
    """Two sign-ups on a device that nobody has seen, and a third that is only asked about."""
    live = LiveGraph(timed_snapshot)
    at_ms = int(np.asarray(timed_snapshot.event_time_ms).max())

    def signup(number: int) -> LiveEvent:
        mail = ("email", f"mail-{number}")
        return LiveEvent("signup", f"new{number}", at_ms + number, identifiers=(("device", "unseen"), mail))

    live.apply_all(JournalRow(seq, at_ms + seq, signup(seq)) for seq in (1, 2))
    scorer = Scorer(live, timed_bundle)
    asked = live.question(signup(3))
    assert asked.account[0] == -1
    found = shared_nodes(live, asked, 0)
    assert found == [SharedNode("device", "unseen", 3, ["new1", "new2"])]
    told = reasons(scorer, asked, scorer.score(asked, "signup"))
    evidence = [one for reason in told for one in reason.evidence if one["type"] == "shared_node"]
    assert found[0].as_evidence() in evidence
    # Their own question afterwards: what they are asked with is no other account.
    again = live.question(LiveEvent("login", "new2", at_ms + 5, identifiers=(("device", "unseen"),)))
    assert shared_nodes(live, again, 0) == [SharedNode("device", "unseen", 2, ["new1"])]
