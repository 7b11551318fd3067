"""`GET /v1/accounts/{id}` and its reasons."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gnn import Bundle
from graph_etl import Workspace
from graph_etl.build import build
from graph_etl.identifiers import Hasher
from graph_etl.spec import load_spec
from rings import RingsRun
from scoring_service import decisions
from scoring_service.accounts.schemas import AccountAnswer, AccountReasons
from tests.building import TEST_HASH_KEY
from tests.scoring_service.conftest import Client
from tests.scoring_service.small_platform import BANNED, BANNED_DEVICE, write_platform


def account_of(client: Client, account_id: str) -> AccountAnswer:
    response = client.get(f"/v1/accounts/{account_id}")
    assert response.status_code == 200, response.text
    return AccountAnswer.model_validate(response.json())


def test_farm_account_has_a_ring_a_verdict_and_its_company(client: Client) -> None:
    account = account_of(client, "farm-0-3")
    assert account.decision == "deny"
    assert account.rule == "confirmed_bad_account"
    assert account.verdict is not None
    assert (account.verdict.label, account.verdict.known_at) == ("bad", "2026-01-25T00:09:00Z")
    assert account.ring is not None
    assert account.first_seen == "2026-01-21T00:09:00Z"
    assert account.attributes["country"] == "US"
    assert account.attributes["form_s"] == 6.0
    # Six accounts of the farm used this device, the other five are confirmed bad as well.
    device = next(use for use in account.identifiers if use.kind == "device")
    assert (device.accounts, device.known_bad, device.is_hub) == (6, 5, False)


def test_identifiers_are_shown_as_their_keyed_hash(client: Client) -> None:
    device = next(use for use in account_of(client, BANNED).identifiers if use.kind == "device")
    assert device.key == Hasher(TEST_HASH_KEY.encode()).key("device", BANNED_DEVICE)


def test_account_alone_on_its_identifiers(client: Client) -> None:
    account = account_of(client, "single-100")
    device = next(use for use in account.identifiers if use.kind == "device")
    assert (device.accounts, device.known_bad) == (1, 0)
    assert account.verdict is None
    assert account.decision in {"allow", "challenge", "review"}


@pytest.mark.parametrize("path", ["nobody", "nobody/reasons", "a%2Fb", "%F0%9F%90%99"])
def test_account_that_nobody_knows(client: Client, path: str) -> None:
    response = client.get(f"/v1/accounts/{path}")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "account_not_found")


def test_reasons_are_ordered_limited_and_filtered_for_the_owner(client: Client) -> None:
    every = AccountReasons.model_validate(client.get("/v1/accounts/farm-0-3/reasons?top=50").json())
    assert every.reasons
    two = AccountReasons.model_validate(client.get("/v1/accounts/farm-0-3/reasons?top=2").json())
    assert two.reasons == every.reasons[:2]
    safe = AccountReasons.model_validate(
        client.get("/v1/accounts/farm-0-3/reasons?top=50&audience=user").json()
    )
    assert safe.reasons == [reason for reason in every.reasons if reason.safe_for_user]
    assert len(safe.reasons) < len(every.reasons)


def test_reasons_say_what_the_score_would_be_without_their_evidence(client: Client) -> None:
    answer = AccountReasons.model_validate(client.get("/v1/accounts/farm-0-3/reasons?top=50").json())
    assert answer.score is not None
    assert answer.carriers is not None
    device = next(one for one in answer.carriers.nodes if one.what.startswith("device "))
    assert device.evidence["accounts"] == 6
    assert device.words.startswith("without the device that 6 accounts touch: ")
    assert sum(one.log_odds or 0.0 for one in answer.carriers.nodes) == pytest.approx(
        answer.carriers.of_nodes, abs=0.01
    )
    assert all(one.evidence["account"] != "farm-0-3" for one in answer.carriers.accounts)
    said = [reason.without for reason in answer.reasons if reason.without is not None]
    assert said
    assert all(one.words.startswith("without ") for one in said)
    scores = {one.what: one.score for one in answer.carriers.nodes}
    assert all(one.score == scores.get(one.what, one.score) for one in said)
    # What costs time can be left out, and what is about others is not for the account's owner.
    for query in ("counterfactuals=false", "audience=user"):
        bare = AccountReasons.model_validate(
            client.get(f"/v1/accounts/farm-0-3/reasons?top=50&{query}").json()
        )
        assert bare.carriers is None
        assert all(reason.without is None for reason in bare.reasons)
        assert bare.score == answer.score


@pytest.mark.parametrize("query", ["top=0", "top=51", "top=x", "audience=press"])
def test_bad_query_is_refused(client: Client, query: str) -> None:
    response = client.get(f"/v1/accounts/farm-0-3/reasons?{query}")
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_request")


def test_exported_decisions_are_those_of_the_api(client: Client, workspace: Path) -> None:
    made = Workspace(workspace)
    current = made.current()
    snapshot = made.open_snapshot()
    bundle = Bundle.open(made.path_of("bundle", str(current["bundle"])))
    run = RingsRun.open(made.path_of("rings", str(current["rings"])))
    table = decisions(snapshot, bundle, run)
    assert table.height == snapshot.n_accounts
    assert table["account"].to_list() == snapshot.account_ids.to_list()
    asked = ["farm-0-3", "farm-1-7", "farm-2-4", BANNED, "house-1-0", "campus-3", "single-5", "single-140"]
    for row in table.filter(pl.col("account").is_in(asked)).iter_rows(named=True):
        account = account_of(client, row["account"])
        assert (row["decision"], row["risk_level"]) == (account.decision, account.risk_level)
        assert row["ring"] == (None if account.ring is None else account.ring.id)
        assert row["score"] == pytest.approx(account.score)
    assert table["decision"].is_in(["allow", "challenge", "review", "deny"]).all()
    assert set(table.filter(pl.col("decision") == "deny")["account"]) >= {f"farm-0-{n}" for n in range(12)}


def test_newer_snapshot_is_scored_anew_by_the_older_bundle(
    copied: Workspace, tmp_path: Path, serve_over: Callable[..., Client]
) -> None:
    spec = write_platform(tmp_path)
    with (tmp_path / "signups.csv").open("a", encoding="utf-8") as signups:
        signups.write(
            "late-1,2026-03-01T21:00:00+00:00,dev-farm-1-0,84.0.1.1,l@mail.example,US,6.0,False,home\n"
        )
    build(load_spec(spec), copied)
    client = serve_over(copied)
    late = account_of(client, "late-1")
    assert late.score is not None
    assert 0 <= late.score <= 1
    assert late.model_version == copied.current()["bundle"]
    # The rings are those of the earlier snapshot: found again by the ids of their accounts.
    assert client.get("/readyz").json()["status"] == "ready"
    farm = account_of(client, "farm-0-3")
    assert farm.ring is not None
    assert farm.ring.membership == "member"
    assert late.ring is not None
    assert late.ring.role is None
