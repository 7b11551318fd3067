"""The whole service on Postgres: kept, deduplicated, read again at the next start, replayed, followed."""

from collections.abc import Callable
from typing import Any

from graph_etl import Workspace
from scoring_service.journal import Journal
from scoring_service.replay import replay
from tests.scoring_service.small_platform import sign_up_event

N_EVENTS = 12


def test_the_service_keeps_and_replays_in_postgres(
    copied: Workspace, serve_over: Callable[..., Any], postgres_url: str
) -> None:
    first = serve_over(copied, database_url=postgres_url)
    answers = [first.risk(sign_up_event(f"pg-{n}", device=f"dev-pg-{n % 6}")).json() for n in range(N_EVENTS)]
    assert all(answer["accepted"] for answer in answers)
    seqs = [answer["event_seq"] for answer in answers]
    assert seqs == list(range(seqs[0], seqs[0] + N_EVENTS))
    label = {"account": "pg-0", "label": "bad", "source": "analyst"}
    assert first.request("POST", "/v1/labels", json=label).status_code == 200
    follower = serve_over(copied, database_url=postgres_url, follow=True)
    assert follower.get("/v1/accounts/pg-3").status_code == 200
    refused = follower.risk(sign_up_event("pg-other", device="dev-pg-0")).json()
    assert (refused["accepted"], refused["degraded"]["reason"]) == (False, "follower")
    # One of the two others on the device is confirmed bad: a rule, whatever the score.
    assert refused["decision"] == "deny"
    follower.close()
    first.close()
    second = serve_over(copied, database_url=postgres_url)
    again = second.risk(sign_up_event("pg-1", device="dev-pg-1")).json()
    assert [warning["code"] for warning in again["warnings"]] == ["duplicate_event"]
    assert again["event_seq"] == seqs[1]
    second.close()
    with Journal.open(postgres_url, read_only=True) as journal:
        found = replay(copied, journal)
    assert (found.compared, found.different) == (N_EVENTS, 0)
    assert not (copied.path / "state.db").exists()
