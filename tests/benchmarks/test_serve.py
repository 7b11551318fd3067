"""The benchmark of answers: what it draws, what it sends, what it makes of the figures."""

import shutil
import sys
from pathlib import Path

import orjson
import polars as pl
import pytest

from benchmarks.serve.bare import ANSWER_VARIABLE
from benchmarks.serve.data import END_MS, Size, write_platform
from benchmarks.serve.load import LoadError, Shot, Target, find_wrk, shoot, summarised
from benchmarks.serve.measured import BARE, Measured
from benchmarks.serve.report import HEADING, goals, write_into
from graph_etl import Workspace, build, load_spec
from ringwatch.live import Connection, LocalServer
from scoring_service.risk.examples import ANSWERS

SMALL = Size(accounts=2_000, identifiers=4_000, links=12_000, verdicts=100)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_platform(folder, SMALL)
    return folder


def test_the_snapshot_holds_what_was_asked_for(drawn: Path, tmp_path: Path, hash_key: str) -> None:
    assert hash_key
    report = build(load_spec(drawn / "spec.yaml"), Workspace(tmp_path))
    kinds = ("device", "ip", "email", "card")
    assert report.accounts == 2_000
    assert sum(report.entities[kind] for kind in kinds) == 4_000
    assert sum(report.edges[f"used:{kind}"] for kind in kinds) == 12_000
    assert sum(source.quarantined for source in report.sources) == 0


def test_the_same_seed_draws_the_same_platform_and_another_another(drawn: Path, tmp_path: Path) -> None:
    write_platform(tmp_path / "again", SMALL)
    other = Size(accounts=2_000, identifiers=4_000, links=12_000, verdicts=100, seed=1)
    write_platform(tmp_path / "other", other)
    tables = [pl.read_parquet(folder / "signups.parquet") for folder in (drawn, tmp_path / "again")]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(pl.read_parquet(tmp_path / "other" / "signups.parquet"))
    assert SMALL.key != other.key


def test_sizes_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(ValueError, match="give about 2 each"):
        Size(accounts=100, identifiers=1_000, links=600, verdicts=10)
    with pytest.raises(ValueError, match="give about 6 each"):
        Size(accounts=100, identifiers=200, links=300, verdicts=10)


def _shot(target: str, p50_ms: float, p99_ms: float) -> Shot:
    return Shot(target, 1, 100, 2.0, p50_ms, p99_ms, p99_ms, p99_ms, 0)


def test_goals_are_ratios_of_medians_over_the_rounds() -> None:
    shots = [
        *(_shot(BARE, p50_ms, 3.0) for p50_ms in (1.0, 9.0, 1.0)),
        *(_shot("commit=process", p50_ms, 7.5) for p50_ms in (1.9, 1.9, 50.0)),
    ]
    found = Measured(shots=shots, targets=[Target(BARE, 1), Target("commit=process", 2, most_times_bare=2.0)])
    p50, p99 = goals(found)
    assert (p50["allowed_ms"], p50["seen_ms"], p50["met"]) == (2.0, 1.9, True)
    assert (p99["allowed_ms"], p99["seen_ms"], p99["met"]) == (7.0, 7.5, False)
    assert summarised(shots)[0].requests_per_s == 50.0


def test_the_section_of_the_document_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"# Measured\n\nfirst\n\n{HEADING}\n\nold\n\n## After\n\nlast\n")
    write_into(document, "new")
    assert document.read_text() == f"# Measured\n\nfirst\n\n{HEADING}\n\nnew\n\n## After\n\nlast\n"


def test_a_missing_load_generator_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LoadError, match="apt-get install wrk"):
        find_wrk()


@pytest.fixture
def bare(tmp_path: Path) -> LocalServer:
    answer = tmp_path / "answer.json"
    answer.write_bytes(orjson.dumps(ANSWERS["degraded"]["value"]))
    return LocalServer(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.serve.bare", "{port}"],
        ready_within_s=60.0,
        environment={ANSWER_VARIABLE: str(answer)},
    )


@pytest.mark.slow  # a fresh process imports the service's models
def test_the_bare_endpoint_answers_with_the_ids_of_the_request_on_both_paths(bare: LocalServer) -> None:
    body = {"event_type": "signup", "event_id": "ev-1", "account": {"id": "a-1"}}
    with bare:
        connection = Connection(bare.port)
        answers = [connection.post(path, body) for path in ("/v1/risk", "/lean")]
        assert connection.post("/v1/risk", {"event_type": "signup"}).status == 422
        connection.close()
    assert answers[0].body == answers[1].body
    assert (answers[0].body["event_id"], answers[0].body["account_id"]) == ("ev-1", "a-1")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: apt-get install wrk")
def test_wrk_sends_sign_ups_that_the_models_read(bare: LocalServer, drawn: Path) -> None:
    with bare:
        target = Target(BARE, bare.port)
        shot = shoot(target, drawn / "known.tsv", connections=2, seconds=1, run="test")
    assert shot.requests > 10
    assert shot.failed == 0  # 422 for what the models cannot read would count
    assert 0 < shot.p50_ms <= shot.p99_ms <= shot.max_ms


def test_the_load_begins_after_the_graph_ends(drawn: Path) -> None:
    times = pl.concat([pl.read_parquet(drawn / f"{name}.parquet")["at"] for name in ("signups", "logins")])
    at_ms = times.str.to_datetime(time_unit="ms", time_zone="UTC").dt.epoch("ms")
    assert (at_ms < END_MS).all()
