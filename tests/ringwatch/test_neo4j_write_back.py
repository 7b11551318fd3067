"""`ringwatch neo4j write-back`: the database says what exports and rings say."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import rings
from graph_etl import Workspace
from graph_etl.neo4j_store import Target, connect, load, session
from rings import LinkConfig, RingsRun
from tests.ringwatch.conftest import Call, Walked


@pytest.fixture
def neo4j(neo4j_database: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
    """An empty Neo4j that the environment names."""
    monkeypatch.setenv("NEO4J_URI", neo4j_database.uri)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_database.password)
    return neo4j_database


@pytest.fixture
def workspace(walked: Walked, tmp_path: Path) -> Path:
    """A copy of the platform that a test may change."""
    shutil.copytree(walked.workspace, tmp_path / "workspace")
    return tmp_path / "workspace"


def ask(target: Target, query: str) -> list[Any]:
    with connect(target) as driver, session(driver, target) as opened:
        return [record.values() for record in opened.run(query)]


def test_the_database_says_what_exports_and_rings_say(
    neo4j: Target, workspace: Path, tmp_path: Path, call: Call
) -> None:
    place = Workspace(workspace)
    snapshot, uses = place.open_snapshot(), place.current()
    load(snapshot, place, neo4j)
    said = call("neo4j", "write-back", "--workspace", workspace, "--json")
    assert said.code == 0, said.err
    run = RingsRun.open(place.path_of("rings", str(uses["rings"])))
    assert said.document["result"]["rings_created"] == len(run.table) > 0
    assert said.document["result"]["accounts_changed"] == snapshot.n_accounts

    assert call("export", "scores", tmp_path / "scores.parquet", "--workspace", workspace).code == 0
    exported = pl.read_parquet(tmp_path / "scores.parquet")
    scores = "MATCH (a:Account) RETURN a.id, a.score, a.percentile, a.ring ORDER BY a.id"
    wanted = exported.select("account", "score", "percentile", "ring").sort("account").rows()
    assert [tuple(row) for row in ask(neo4j, scores)] == wanted
    levels = {level for (level,) in ask(neo4j, "MATCH (a:Account) RETURN DISTINCT a.risk_level")}
    assert {"low"} < levels <= {"low", "medium", "high", "critical"}
    members = "MATCH (a)-[m:MEMBER_OF]->(r:Ring {superseded: false}) RETURN r.id, a.id, m.role, m.weight"
    assert sorted(map(tuple, ask(neo4j, members))) == sorted(
        run.members.select("ring", "account_id", "role", "weight").rows()
    )
    ranked = "MATCH (r:Ring) RETURN r.id, r.rank, r.score, r.size, r.q_value, r.known_bad, r.words"
    columns = ("ring", "rank", "score", "size", "q_value", "n_known_bad", "words")
    assert sorted(map(tuple, ask(neo4j, ranked))) == sorted(run.table.select(columns).rows())

    found = rings.links(snapshot, snapshot.end_horizon, LinkConfig(**run.manifest["links"]))
    ids = snapshot.account_ids.to_list()
    pairs = {tuple(sorted((ids[a], ids[b]))) for a, b in zip(found.a, found.b, strict=True)}
    there = ask(neo4j, "MATCH (a)-[l:LINKED_TO]->(b) RETURN a.id, b.id, l.weight, l.because")
    assert {(a, b) for a, b, *_ in there} == pairs
    assert {reason for *_, because in there for reason in because.split("; ")} <= {
        *(f"shared {kind.name}" for kind in snapshot.kinds),
        "dealt with each other",
        "appeared side by side and behave alike",
    }
    farm = [row for row in there if row[0].startswith("farm") and row[1].startswith("farm")]
    assert any("shared device" in because for *_, because in farm)


def test_rings_that_were_found_again_succeed_those_before(neo4j: Target, workspace: Path, call: Call) -> None:
    place = Workspace(workspace)
    load(place.open_snapshot(), place, neo4j)
    assert call("neo4j", "write-back", "--workspace", workspace).code == 0
    before = RingsRun.open(place.path_of("rings", str(place.current()["rings"])))
    # Other links make other groups: some go on, some split or end.
    changed = rings.find(
        place.open_snapshot(),
        None,
        previous=before,
        bundle=before.manifest["bundle"],
        link_config=LinkConfig(synchrony=0.0, alike_power=0.0, least_weight=0.2),
        seed=3,
    )
    with place.new_folder("rings", changed.id) as folder:
        changed.write(folder)
    place.set_current("rings", changed.id)
    said = call("neo4j", "write-back", "--workspace", workspace, "--json")
    assert said.code == 0, said.err
    kept = set(before.table["ring"]) & set(changed.table["ring"])
    wanted = {(ring, ring) for ring in kept}
    wanted |= {
        (parent, ring)
        for ring, parents in changed.table.select("ring", "parents").rows()
        for parent in parents
    }
    wanted |= {(ring, heir) for ring, heirs in changed.manifest["ended"].items() for heir in heirs}
    there = ask(neo4j, "MATCH (o:Ring)-[:SUCCEEDED_BY]->(n:Ring) RETURN o.id, n.id")
    assert {(old.partition("@")[0], new) for old, new in there} == wanted
    assert kept
    assert len(wanted) > len(kept), "nothing split, merged or ended; choose other links"
    assert (
        call("neo4j", "write-back", "--workspace", workspace, "--json").document["result"]["links_created"]
        == 0
    )


def test_without_rings_of_the_bundle_it_says_what_to_do(neo4j: Target, workspace: Path, call: Call) -> None:
    place = Workspace(workspace)
    run = place.current()["rings"]
    place.set_current("rings", None)
    said = call("neo4j", "write-back", "--workspace", workspace)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert said.err.rstrip().endswith("find them with `ringwatch rings`")
    place.publish({"rings": run, "bundle": None})
    said = call("neo4j", "write-back", "--workspace", workspace)
    assert said.code == 2
    assert "`ringwatch train`" in said.err
    assert ask(neo4j, "MATCH (n) RETURN count(n)") == [[0]]
