"""The live demo: how the game is cut, what is sent, what is counted; and (slow) a small run of the whole."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from graph_etl.simulate import load_simulation
from ringwatch.live import Answer
from ringwatch.live_game import EVENTS, LABELS, RISK, LiveGame, live_config, play
from ringwatch.live_stream import Tally, quantile
from ringwatch.live_view import line_of
from scoring_service.risk.schemas import RiskRequest

EXAMPLE = Path(__file__).parents[2] / "examples" / "game_signups"
ACCOUNTS = 900


@pytest.fixture(scope="module")
def game() -> LiveGame:
    return play(live_config(load_simulation(EXAMPLE / "simulation.yaml"), ACCOUNTS))


def test_the_history_ends_where_the_stream_begins(game: LiveGame) -> None:
    cut = game.cut.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert all(at < cut for at in game.history["signups"]["created_at"])
    assert all(at < cut for at in game.history["verdicts"]["known_at"])
    assert {one.at >= cut for one in game.happenings} == {True}
    assert [one.at for one in game.happenings] == sorted(one.at for one in game.happenings)
    assert all(0 <= one.due < 1 for one in game.happenings)


def test_the_ring_signs_up_in_the_stream_and_nowhere_else(game: LiveGame) -> None:
    assert len(game.ring) == 30
    assert not set(game.ring) & set(game.history["signups"]["account_id"])
    assert not set(game.ring) & set(game.history["groups"]["account"])
    arrived = [one.account for one in game.happenings if one.kind == "signup" and one.account in game.ring]
    assert tuple(arrived) == game.ring
    assert set(game.ring) <= game.bad


def test_every_body_is_a_request_that_the_service_reads(game: LiveGame) -> None:
    paths = {"signup": RISK, "payment": RISK, "login": EVENTS, "gift": EVENTS, "verdict": LABELS}
    assert {one.kind for one in game.happenings} == set(paths)
    for one in game.happenings:
        assert one.path == paths[one.kind]
        if one.path != LABELS:
            assert RiskRequest.model_validate(one.body).account.id == one.account


def _answer(decision: str, *, accepted: bool = True) -> Answer:
    body = {
        "accepted": accepted,
        "degraded": None,
        "decision": decision,
        "score": 0.5,
        "policy": {"rule": "threshold"},
        "reasons": [{"code": "BURST", "message": "Many at once."}],
    }
    return Answer(200, body, 0.002)


def test_decisions_are_counted_for_sign_ups_alone(game: LiveGame) -> None:
    tally = Tally()
    signup = next(one for one in game.happenings if one.kind == "signup")
    payment = next(one for one in game.happenings if one.kind == "payment")
    tally.note_risk(signup, _answer("challenge"), late_s=0.0)
    tally.note_risk(payment, _answer("deny", accepted=False), late_s=0.0)
    assert tally.decisions == {"challenge": 1}
    assert [one.account for one in tally.stopped] == [signup.account]
    assert tally.counts == {"signup": 1, "payment": 1}
    assert tally.not_accepted == 1
    assert "1 challenge" in line_of(tally, {"last_seq": 2, "lag": {"rows": 0}})


def test_quantiles_of_none_are_none() -> None:
    assert quantile([], 0.5) is None
    assert quantile([1.0, 2.0, 3.0], 0.5) == 2.0
    assert quantile([1.0, 2.0, 3.0], 0.99) == 3.0


@pytest.mark.slow
def test_a_small_live_demo_stops_the_ring_and_names_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ringwatch", "demo-live", "--accounts", str(ACCOUNTS), "--seconds", "15"]
    done = subprocess.run(
        [*command, "-w", str(tmp_path), "--json"], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)["result"]
    assert result["not_accepted"] == 0
    assert result["degraded"] == {}
    assert result["journal_rows"] >= sum(result["events"].values())
    assert sum(result["decisions"].values()) == result["events"]["signup"]
    shares = {row["who"]: row["stopped_share"] for row in result["by_arrival"]}
    assert shares["the ring's accounts 13 to 30"] > shares["honest accounts"]
    assert result["ring"]["members_in_it"] >= 12
    assert result["ring"]["words"]
