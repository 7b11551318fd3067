"""The live graph: kept, seen at once, still there after a restart, swapped without a failed request."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from graph_etl import Workspace
from graph_etl.build import build
from graph_etl.spec import load_spec
from scoring_service import ServiceSettings
from scoring_service.journal import Journal
from scoring_service.live.endpoints import ANSWER
from scoring_service.live.loading import JournalTooShort
from scoring_service.live.schemas import LiveAnswer
from scoring_service.risk.schemas import RiskRequest
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import sign_up_event, write_platform

AT_ONCE = {"watch_every": "PT0.02S", "follow_every": "PT0.005S"}
# On two slow cores beside other work; a request takes 1 to 3 ms here, a swap 1 to 2 s.
LONGEST_WHILE_SWAPPING_S = 0.4


def live_of(client: Client) -> LiveAnswer:
    response = client.get("/v1/live")
    assert response.status_code == 200, response.text
    return LiveAnswer.model_validate(response.json())


def wait_until(client: Client, holds: Callable[[], bool], within_s: float = 30.0) -> None:
    """Let the app run until something holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        client.run(asyncio.sleep(0.005))


def newer_snapshot(workspace: Workspace, folder: Path) -> None:
    """Build the platform again with one sign-up more."""
    folder.mkdir(exist_ok=True)
    spec = write_platform(folder)
    with (folder / "signups.csv").open("a", encoding="utf-8") as signups:
        signups.write(
            "late-1,2026-03-01T21:00:00+00:00,dev-farm-1-0,84.0.1.1,l@mail.example,US,6.0,False,home\n"
        )
    build(load_spec(spec), workspace)


def test_account_of_a_moment_ago_is_found_with_its_identifiers_and_its_ring(fresh: Client) -> None:
    assert fresh.get("/v1/accounts/newcomer").status_code == 404
    answer = fresh.risk(sign_up_event("newcomer", device="dev-farm-1-0", ip="84.0.1.1")).json()
    account = fresh.get("/v1/accounts/newcomer").json()
    assert account["first_seen"] == account["last_seen"] == "2026-03-02T00:00:00Z"
    assert account["attributes"]["form_s"] == 40.0
    device = next(use for use in account["identifiers"] if use["kind"] == "device")
    # Six accounts of the farm used it, two of them are confirmed bad.
    assert (device["accounts"], device["known_bad"]) == (7, 2)
    assert account["ring"]["id"] == answer["ring"]["id"]
    assert (account["ring"]["role"], account["ring"]["membership"]) == (None, "shares_identifier")
    assert fresh.get("/v1/rings?account=newcomer").json()["total"] == 0
    assert fresh.get("/v1/accounts/newcomer/reasons").json()["reasons"]


def test_what_was_kept_is_there_after_a_restart_and_answers_alike(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    first = serve_over(copied)
    for n in range(20):
        assert first.risk(sign_up_event(f"r-{n}", device=f"dev-r-{n}")).json()["accepted"]
    first.post("/v1/labels", json={"account": "r-3", "label": "bad", "source": "analyst"})
    probe = {**sign_up_event("probe", device="dev-r-3"), "event_id": None}
    before = first.risk(probe).json()
    told = live_of(first)
    first.close()
    second = serve_over(copied)
    assert live_of(second).last_seq == told.last_seq
    assert second.get("/v1/accounts/r-7").status_code == 200
    other = {**probe, "account": {**probe["account"], "id": "probe-2"}}
    after = second.risk(other).json()
    assert after["event_seq"] == before["event_seq"] + 1
    assert after["decision"] == before["decision"] == "deny"
    duplicate = second.risk(sign_up_event("r-7", device="dev-r-7")).json()
    assert [warning["code"] for warning in duplicate["warnings"]] == ["duplicate_event"]


def test_duplicate_gets_what_was_answered_then(fresh: Client) -> None:
    event = sign_up_event("twice", device="dev-farm-1-0")
    first = fresh.risk(event).json()
    fresh.risk(sign_up_event("other", device="dev-farm-1-0"))
    again = fresh.risk(event).json()
    warning = again["warnings"].pop()
    assert (warning["code"], warning["detail"]) == ("duplicate_event", {"event_seq": first["event_seq"]})
    assert again == first


def test_recorded_answer_is_the_one_that_was_sent(fresh: Client) -> None:
    response = fresh.risk(sign_up_event("kept"))
    from scoring_service.risk.answering import with_position

    journal = fresh.state.journal
    assert journal is not None
    seq = response.json()["event_seq"]
    row, answered = journal.recorded(seq)
    assert answered is not None
    assert with_position(answered.answer, seq) == response.content
    assert (row.seq, answered.horizon, answered.moment) == (seq, seq - 1, "signup")
    assert answered.score == response.json()["score"]


def test_live_graph_describes_itself(fresh: Client) -> None:
    LiveAnswer.model_validate(ANSWER)
    before = live_of(fresh)
    fresh.risk(sign_up_event("newcomer", device="dev-unheard-of"))
    after = live_of(fresh)
    assert after.last_seq == before.last_seq + 1
    assert (after.overlay.accounts, after.role, after.journal.status) == (1, "writer", "ok")
    assert after.lag.rows == 0
    assert after.graph_as_of == "2026-03-02T00:00:00Z"


class _Load:
    """Sends sign-ups one after the other in the app's loop, and notes how each fared."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stop = False
        self.seconds: list[float] = []
        self.answers: list[dict[str, Any]] = []

    async def _send(self) -> None:
        transport = httpx.ASGITransport(app=self._client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            while not self._stop:
                number = len(self.answers)
                event = sign_up_event(f"load-{id(self)}-{number}", device=f"dev-load-{number % 50}")
                started = time.perf_counter()
                response = await http.post("/v1/risk", json=event)
                self.seconds.append(time.perf_counter() - started)
                assert response.status_code == 200
                self.answers.append(response.json())

    async def _until(self, holds: Callable[[], bool], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not holds() and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        self._stop = True

    def run_until(self, holds: Callable[[], bool], within_s: float = 60.0) -> None:
        async def both() -> None:
            await asyncio.gather(self._send(), self._until(holds, within_s))

        self._client.run(both())
        assert holds()


def test_swap_under_load_fails_no_request_and_keeps_none_waiting(
    copied: Workspace, tmp_path: Path, serve_over: Callable[..., Client]
) -> None:
    before = copied.current()
    newer_snapshot(copied, tmp_path / "newer")
    newer = copied.current()
    copied.publish(before)
    client = serve_over(copied, **AT_ONCE)
    first = live_of(client)
    client.risk(sign_up_event("before-the-swap", device="dev-farm-1-0"))
    load = _Load(client)

    def has_swapped_under_load() -> bool:
        if len(load.answers) >= 40 and copied.current() == before:
            copied.publish(newer)
        return client.state.generation == 2 and len(load.answers) >= 120

    load.run_until(has_swapped_under_load)
    # What came before and meanwhile is in the new generation as well.
    after = live_of(client)
    assert (after.generation.number, after.refused) == (2, None)
    assert after.generation.snapshot == copied.current()["snapshot"] != first.generation.snapshot
    assert client.get("/v1/accounts/before-the-swap").status_code == 200
    assert client.get("/v1/accounts/late-1").status_code == 200
    sequence = [answer["event_seq"] for answer in load.answers]
    assert sequence == sorted(set(sequence))
    assert all(answer["accepted"] and answer["degraded"] is None for answer in load.answers)
    assert client.get(f"/v1/accounts/{load.answers[-1]['account_id']}").status_code == 200
    assert max(load.seconds) < LONGEST_WHILE_SWAPPING_S
    assert after.last_seq == after.journal.last_seq


def test_swap_is_a_row_of_the_journal(
    copied: Workspace, tmp_path: Path, serve_over: Callable[..., Client]
) -> None:
    client = serve_over(copied, **AT_ONCE)
    assert client.state.journal is not None
    (start,) = client.state.journal.rows()
    newer_snapshot(copied, tmp_path / "newer")
    wait_until(client, lambda: live_of(client).last_seq == 2)
    rows = list(client.state.journal.rows())
    current = copied.current()
    assert rows[0] == start
    assert [(row.content.snapshot, row.content.bundle, row.content.rings) for row in rows[1:]] == [  # type: ignore[union-attr]  # all are switches
        (current["snapshot"], current["bundle"], current["rings"])
    ]
    client.close()
    # A restart switches nothing, so it says nothing.
    again = serve_over(copied)
    assert live_of(again).last_seq == 2


def test_broken_generation_is_refused_and_the_old_one_goes_on(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    client = serve_over(copied, **AT_ONCE)
    good = str(copied.current()["bundle"])
    broken = "b000broken"
    folder = copied.path_of("bundle", broken)
    folder.mkdir()
    for file in copied.path_of("bundle", good).iterdir():
        if not file.name.startswith("trees_"):
            (folder / file.name).write_bytes(file.read_bytes())
    copied.publish({"bundle": broken})
    wait_until(client, lambda: client.state.refused is not None)
    told = live_of(client)
    assert (told.generation.number, told.generation.bundle) == (1, good)
    assert told.refused is not None
    assert told.refused.bundle == broken
    assert "missing from the bundle" in told.refused.message
    assert client.risk(sign_up_event("still")).json()["degraded"] is None
    assert client.get("/readyz").json()["status"] == "degraded"
    copied.rollback("bundle")
    copied.publish({"rings": None})
    wait_until(client, lambda: client.state.generation == 2)
    assert live_of(client).refused is None


def twin_of_bundle(place: Workspace) -> Path:
    """Copy the bundle in use under the name `b0twin`; the folder of the copy."""
    good = str(place.current()["bundle"])
    twin = place.path_of("bundle", "b0twin")
    twin.mkdir()
    for file in place.path_of("bundle", good).iterdir():
        (twin / file.name).write_bytes(file.read_bytes().replace(good.encode(), b"b0twin"))
    return twin


def test_bundle_in_the_shadow_is_scored_and_never_answers(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    good = str(copied.current()["bundle"])
    twin_of_bundle(copied)
    client = serve_over(copied, **AT_ONCE)
    alone = client.risk({**sign_up_event("s"), "event_id": None}).json()
    copied.publish({"shadow": "b0twin"})
    wait_until(client, lambda: client.state.generation == 2)
    beside = client.risk({**sign_up_event("t"), "event_id": None}).json()
    assert beside["model_version"] == alone["model_version"] == good
    shadow = live_of(client).shadow
    assert shadow is not None
    assert (shadow.bundle, shadow.answers, shadow.errors) == ("b0twin", 1, 0)
    assert (shadow.other_decisions, shadow.mean_difference) == (0, 0.0)
    assert client.state.journal is not None
    _, answered = client.state.journal.recorded(beside["event_seq"])
    assert answered is not None
    assert answered.shadow is not None
    assert json.loads(answered.shadow) == {
        "bundle": "b0twin",
        "score": beside["score"],
        "margin": answered.margin,
        "decision": beside["decision"],
    }


def test_bundle_in_the_shadow_answers_at_the_moment_that_its_own_heads_know(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    """The twin's youngest head is called `1h`: a sign-up is asked of it, not of its last one."""
    twin = twin_of_bundle(copied)
    manifest = json.loads((twin / "manifest.json").read_text())
    manifest["moments"] = ["1h" if moment == "signup" else moment for moment in manifest["moments"]]
    manifest["heads"]["1h"] = manifest["heads"].pop("signup")
    (twin / "manifest.json").write_text(json.dumps(manifest))
    with np.load(twin / "quantiles.npz") as stored:
        kept = {"1h" if moment == "signup" else moment: stored[moment] for moment in stored}
    np.savez(twin / "quantiles.npz", **kept)
    client = serve_over(copied, **AT_ONCE)
    copied.publish({"shadow": "b0twin"})
    wait_until(client, lambda: client.state.generation == 2)
    beside = client.risk({**sign_up_event("t"), "event_id": None}).json()
    assert beside["policy"]["moment"] == "signup"
    assert client.state.journal is not None
    _, answered = client.state.journal.recorded(beside["event_seq"])
    assert answered is not None
    assert answered.shadow is not None
    told = json.loads(answered.shadow)
    assert (told["score"], told["margin"]) == (beside["score"], answered.margin)
    # Not vacuous: the last head says something else of a sign-up.
    loaded = client.state.loaded
    assert loaded.scorer is not None
    request = RiskRequest.model_validate({**sign_up_event("u"), "event_id": None})
    question = loaded.live.question(client.state.risk.read(loaded, request)[0])
    by_head = [loaded.scorer.score(question, moment).score[0] for moment in ("signup", "retrospective")]
    assert by_head[0] != by_head[1]


def test_policy_is_taken_up_while_running(
    copied: Workspace, tmp_path: Path, serve_over: Callable[..., Client]
) -> None:
    from graph_etl.identifiers import Hasher
    from scoring_service.policy.service import DEFAULT_POLICY
    from tests.building import TEST_HASH_KEY

    path = tmp_path / "policy.yaml"
    text = DEFAULT_POLICY.read_text()
    path.write_text(text.replace("blocked: {keys: {}}", "blocked: {file: blocked.yaml}"))
    (tmp_path / "blocked.yaml").write_text("{}\n")
    client = serve_over(copied, policy=path, **AT_ONCE)
    event = {**sign_up_event("b", device="dev-blocked"), "event_id": None}
    assert client.risk(event).json()["policy"]["rule"] != "blocked_identifier"
    key = Hasher(TEST_HASH_KEY.encode()).key("device", "dev-blocked")
    (tmp_path / "blocked.yaml").write_text(f"device: ['{key}']\n")
    wait_until(client, lambda: bool(client.state.loaded.policy.blocked_keys))
    denied = client.risk(event).json()
    assert (denied["decision"], denied["policy"]["rule"]) == ("deny", "blocked_identifier")
    assert client.get("/v1/accounts/b").json()["rule"] == "blocked_identifier"
    (tmp_path / "blocked.yaml").write_text("device: 3\n")
    wait_until(client, lambda: client.state.refused is not None)
    assert client.risk(event).json()["policy"]["rule"] == "blocked_identifier"


@pytest.fixture
def pair(copied: Workspace, serve_over: Callable[..., Client]) -> tuple[Client, Client]:
    """A process that writes and one that follows it."""
    writer = serve_over(copied)
    return writer, serve_over(copied, follow=True, **AT_ONCE)


def test_follower_sees_what_the_writer_keeps_and_keeps_nothing(pair: tuple[Client, Client]) -> None:
    writer, follower = pair
    kept = writer.risk(sign_up_event("seen", device="dev-farm-1-0")).json()
    wait_until(follower, lambda: live_of(follower).last_seq >= kept["event_seq"])
    told = live_of(follower)
    assert (told.role, told.lag.rows) == ("follower", 0)
    assert told.lag.last_ms is not None
    assert follower.get("/v1/accounts/seen").json()["ring"] is not None
    event = sign_up_event("asked", device="dev-farm-1-0")
    answer = follower.risk(event).json()
    assert (answer["accepted"], answer["event_seq"]) == (False, None)
    assert answer["degraded"]["reason"] == "follower"
    assert answer["degraded"]["fallback"] is None
    same = writer.risk(event).json()
    assert (answer["score"], answer["decision"]) == (same["score"], same["decision"])
    refused = follower.post("/v1/labels", json={"account": "seen", "label": "bad", "source": "rule"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "follower")
    (result,) = follower.post("/v1/events", json=event).json()["results"]
    assert result["accepted"] is False


def test_follower_forgets_what_the_writer_forgets(pair: tuple[Client, Client]) -> None:
    writer, follower = pair
    kept = writer.risk(sign_up_event("leaves", device="dev-of-two")).json()
    wait_until(follower, lambda: live_of(follower).last_seq >= kept["event_seq"])
    assert follower.get("/v1/accounts/leaves").status_code == 200
    assert writer.request("DELETE", "/v1/accounts/leaves").status_code == 200
    wait_until(follower, lambda: live_of(follower).generation.number == 2)
    assert follower.get("/v1/accounts/leaves").status_code == 404


def test_a_journal_that_lacks_rows_of_the_snapshot_ends_the_start(
    copied: Workspace, serve_over: Callable[..., Client]
) -> None:
    """Rows that it kept next would have positions that the snapshot has given away, and count for nothing."""
    writer = serve_over(copied)
    assert writer.risk(sign_up_event("seen")).json()["accepted"]
    writer.close()
    with Journal.open(copied.path / "state.db", read_only=True) as journal:
        last_seq = journal.last_seq()
        build(copied.open_snapshot().spec, copied, append=True, journal=journal, data_dir=copied.path.parent)
    for path in copied.path.glob("state.db*"):
        path.unlink()
    with pytest.raises(JournalTooShort, match=f"row 0, snapshot .* rows up to {last_seq}; restore"):
        serve_over(copied)


def test_settings_of_the_live_graph_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGWATCH_COMMIT", "process")
    monkeypatch.setenv("RINGWATCH_MAX_LIVE_EVENTS", "12")
    monkeypatch.setenv("RINGWATCH_DATABASE_URL", "postgresql://db/ringwatch")
    settings = ServiceSettings()
    assert (settings.commit, settings.max_live_events) == ("process", 12)
    assert settings.journal_place == "postgresql://db/ringwatch"
