"""Groups that people confirm to be benign: out of the list at once, back when they change or on demand."""

import json
import sqlite3
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

import gnn
import rings
from graph_etl import Workspace
from ringwatch import run as ringwatch
from scoring_service.policy import RingTie
from scoring_service.rings.presentation import evidence_text
from scoring_service.rings.schemas import BenignAnswer, RingPage
from tests.scoring_service.conftest import Client

Serve = Callable[..., Client]


def listed(client: Client, query: str = "") -> dict[str, dict[str, Any]]:
    response = client.get(f"/v1/rings?limit=200{query}")
    assert response.status_code == 200, response.text
    page = RingPage.model_validate(response.json())
    assert page.total == len(page.rings)
    return {ring["id"]: ring for ring in response.json()["rings"]}


def ring_of(client: Client, account: str) -> str:
    (found,) = listed(client, f"&status=all&account={account}")
    return found


def confirm(client: Client, ring: str, **body: Any) -> dict[str, Any]:
    response = client.post(f"/v1/rings/{ring}/benign", json=body)
    assert response.status_code == 200, response.text
    BenignAnswer.model_validate(response.json())
    answer: dict[str, Any] = response.json()
    return answer


def test_a_confirmed_group_leaves_the_list_at_once_and_comes_back(fresh: Client) -> None:
    every = listed(fresh)
    ring = ring_of(fresh, "farm-2-1")
    answer = confirm(fresh, ring, reason="a club, checked")
    assert answer["status"] == "benign_confirmed"
    assert answer["benign"]["accounts"] == every[ring]["size"]
    assert (answer["benign"]["source"], answer["benign"]["reason"]) == ("analyst", "a club, checked")

    assert listed(fresh) == {name: row for name, row in every.items() if name != ring}
    assert set(listed(fresh, "&status=benign_confirmed")) == {ring}
    assert set(listed(fresh, "&status=all")) == set(every)
    assert listed(fresh, "&status=benign_changed") == {}
    detail = fresh.get(f"/v1/rings/{ring}").json()["ring"]
    assert (detail["status"], detail["benign"]["new_accounts"]) == ("benign_confirmed", 0)

    back = fresh.request("DELETE", f"/v1/rings/{ring}/benign")
    assert (back.status_code, back.json()["status"], back.json()["benign"]) == (200, "open", None)
    assert listed(fresh) == every
    again = fresh.request("DELETE", f"/v1/rings/{ring}/benign")
    assert (again.status_code, again.json()["status"]) == (200, "open")


def test_a_member_that_is_confirmed_bad_brings_the_group_back_at_once(fresh: Client) -> None:
    ring = ring_of(fresh, "farm-2-1")
    confirm(fresh, ring)
    assert ring not in listed(fresh)
    verdict = {"account": "farm-2-1", "label": "bad", "source": "analyst"}
    assert fresh.post("/v1/labels", json=verdict).status_code == 200
    row = listed(fresh)[ring]
    assert (row["status"], row["benign"]["new_bad"]) == ("benign_changed", 1)
    assert set(listed(fresh, "&status=benign_changed")) == {ring}
    # Confirmed once more, with what is known now.
    assert confirm(fresh, ring)["status"] == "benign_confirmed"
    assert ring not in listed(fresh)
    # One call takes back what both said.
    assert fresh.request("DELETE", f"/v1/rings/{ring}/benign").json()["status"] == "open"


def test_it_lasts_over_a_restart_and_over_runs_and_trainings(
    copied: Workspace, serve_over: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    client = serve_over(copied)
    ring = ring_of(client, "farm-2-1")
    confirm(client, ring)
    client.close()
    client = serve_over(copied)
    assert ring not in listed(client)
    client.close()

    # A new bundle, and a run that the command line finds with it.
    snapshot = copied.open_snapshot()
    gnn.train(snapshot, copied, seed=1)
    capfd.readouterr()  # what the service said
    assert ringwatch(["rings", "-w", str(copied.path), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)["result"]
    assert said["benign_confirmed"] == [ring]
    assert ring not in {row["ring"] for row in said["first"]}
    run = rings.RingsRun.open(copied.path_of("rings", said["run"]))
    told = evidence_text(run.evidence(ring)[-1])
    assert told.endswith("not changed since: 0 of 12 accounts are new, 0 newly confirmed bad"), told
    assert run.table.row(-1, named=True)["ring"] == ring
    client = serve_over(copied)
    assert ring not in listed(client)
    assert set(listed(client, "&status=benign_confirmed")) == {ring}


def test_the_command_line_confirms_and_takes_back(
    copied: Workspace, serve_over: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    client = serve_over(copied)
    ring = ring_of(client, "farm-0-1")
    place = ["-w", str(copied.path)]
    assert ringwatch(["rings", "--benign", ring, "--reason", "a school class", *place]) == 0
    # A service that runs sees it with the next question; six were confirmed bad before, which is no news.
    assert ring not in listed(client)
    assert listed(client, "&status=all")[ring]["benign"]["reason"] == "a school class"
    assert ringwatch(["rings", "--not-benign", ring, *place]) == 0
    assert ring in listed(client)
    capfd.readouterr()
    for words, problem in (
        (["--not-benign", ring], "nobody called ring"),
        (["--benign", "r0000000000"], "holds no ring"),
        (["--benign", ring, "--not-benign", ring], "give one of"),
        (["--reason", "why"], "give one of"),
    ):
        assert ringwatch(["rings", *words, *place]) == 2
        error = capfd.readouterr().err
        assert problem in error
        assert len(error.strip().splitlines()) == 1


def test_a_page_after_a_confirmation_leaves_no_ring_out(fresh: Client) -> None:
    every = list(listed(fresh))
    first = fresh.get("/v1/rings?limit=2").json()
    assert [ring["id"] for ring in first["rings"]] == every[:2]
    confirm(fresh, every[0])
    second = fresh.get(f"/v1/rings?limit=2&cursor={first['next_cursor']}").json()
    assert [ring["id"] for ring in second["rings"]] == every[2:4]


def test_what_something_honest_explains_can_be_asked_for(client: Client) -> None:
    every = listed(client)
    explained = listed(client, "&explained_benign=true")
    others = listed(client, "&explained_benign=false")
    assert explained == {name: row for name, row in every.items() if row["explained_benign"]}
    assert others == {name: row for name, row in every.items() if not row["explained_benign"]}
    assert explained
    assert others


def test_a_policy_takes_no_offence_at_a_confirmed_group() -> None:
    row = {"size": 12, "n_known_bad": 1, "score": 0.9, "q_value": 0.001}
    tied = RingTie.of_row({**row, "status": "open"}, is_member=True)
    silent = RingTie.of_row({**row, "status": "benign_confirmed"}, is_member=True)
    assert (tied.score, tied.q_value, tied.known_bad) == (0.9, 0.001, 1)
    assert (silent.score, silent.q_value, silent.known_bad) == (0.0, 1.0, 1)


def test_a_forgotten_account_leaves_the_registry(copied: Workspace, serve_over: Serve) -> None:
    client = serve_over(copied)
    ring = ring_of(client, "farm-2-1")
    confirm(client, ring, reason="farm-2-1 told us")
    assert client.request("DELETE", "/v1/accounts/farm-2-1").status_code == 200
    client.close()
    with sqlite3.connect(copied.path / "state.db") as store:
        ((held, reason),) = store.execute("SELECT held, reason FROM benign_groups").fetchall()
    assert b'"farm-2-1"' not in held
    assert "farm-2-1 " not in reason
    assert len(json.loads(held)["members"]) == client_size(copied, ring)


def client_size(workspace: Workspace, ring: str) -> int:
    run = rings.RingsRun.open(workspace.path_of("rings", str(workspace.current()["rings"])))
    return int(run.members.filter(pl.col("ring") == ring).height)


def test_rings_that_do_not_exist_and_bodies_that_say_too_much_are_refused(fresh: Client) -> None:
    unknown = fresh.post("/v1/rings/r0000000000/benign", json={})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "ring_not_found")
    ring = ring_of(fresh, "farm-2-1")
    wrong: tuple[Any, ...] = ({"label": "good"}, {"source": "somebody"}, [], "benign")
    for body in wrong:
        refused = fresh.post(f"/v1/rings/{ring}/benign", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_request")
    assert ring in listed(fresh)


def test_a_follower_reads_what_was_confirmed_and_confirms_nothing(
    copied: Workspace, serve_over: Serve
) -> None:
    writer = serve_over(copied)
    ring = ring_of(writer, "farm-2-1")
    confirm(writer, ring)
    follower = serve_over(copied, follow=True)
    assert ring not in listed(follower)
    refused = follower.request("DELETE", f"/v1/rings/{ring}/benign")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "follower")


def test_decisions_of_all_accounts_leave_a_confirmed_group_alone(copied: Workspace) -> None:
    from dataclasses import replace

    from scoring_service.rings.repository import RingRepository

    snapshot = copied.open_snapshot()
    run = rings.RingsRun.open(copied.path_of("rings", str(copied.current()["rings"])))
    ring = str(run.table["ring"][0])
    status = pl.when(pl.col("ring") == ring).then(pl.lit("benign_confirmed")).otherwise(pl.lit("open"))
    silent = replace(run, table=run.table.with_columns(status=status))
    before, after = (RingRepository(one, snapshot).column("score", 0.0) for one in (run, silent))
    inside = run.members.filter(pl.col("ring") == ring)["account"].to_numpy()
    assert (before[inside] > 0).all()
    assert (after[inside] == 0).all()
    others = np.setdiff1d(np.arange(snapshot.n_accounts), inside)
    assert (before[others] == after[others]).all()
