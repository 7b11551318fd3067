"""Each command on a small platform: what it prints, what it writes, what it says to do next."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from ringwatch.tables import RING_COLUMNS, SCORE_COLUMNS
from tests.ringwatch.conftest import Call, Walked


def test_build_accounts_for_every_row(walked: Walked) -> None:
    document = walked.said["build"]
    totals = document["result"]["totals"]
    assert totals["rows"] == totals["in_graph"] + totals["duplicates"] + totals["quarantined"]
    assert document["result"]["accounts"] == 300
    assert document["next"] == f"ringwatch train --workspace {walked.workspace}"
    assert Path(document["wrote"][0], "manifest.json").is_file()


def test_train_reports_metrics_beside_baselines(walked: Walked) -> None:
    result = walked.said["train"]["result"]
    figures = result["metrics"]["retrospective"]
    assert {"average_precision", "auroc", "recall_at_k"} <= figures.keys()
    assert figures["average_precision"]["low"] <= figures["average_precision"]["value"]
    assert {"no graph", "degree only"} <= result["baselines"]["retrospective"].keys()


def test_rings_come_ranked_and_in_words(walked: Walked) -> None:
    first = walked.said["rings"]["result"]["first"]
    assert [ring["rank"] for ring in first] == list(range(1, len(first) + 1))
    assert all(ring["words"] for ring in first)


def test_scores_of_all_accounts_have_the_fixed_columns(walked: Walked, call: Call, tmp_path: Path) -> None:
    said = call("export", "scores", tmp_path / "scores.csv", "-w", walked.workspace, "--json")
    table = pl.read_csv(tmp_path / "scores.csv", infer_schema_length=None)
    assert said.code == 0
    assert tuple(table.columns) == SCORE_COLUMNS
    assert table.height == 300
    assert table["account"].n_unique() == 300
    assert table["score"].is_between(0, 1).all()
    assert set(table["decision"]) <= {"allow", "challenge", "review", "deny"}
    assert said.document["wrote"] == [str(tmp_path / "scores.csv")]


def test_csv_and_parquet_hold_the_same_scores(walked: Walked, call: Call, tmp_path: Path) -> None:
    for name in ("scores.csv", "scores.parquet"):
        assert call("export", "scores", tmp_path / name, "-w", walked.workspace).code == 0
    text = pl.read_csv(tmp_path / "scores.csv", schema_overrides={"ring": pl.String})
    assert text.equals(pl.read_parquet(tmp_path / "scores.parquet"))


def test_held_out_scores_stand_in_for_final_ones(walked: Walked, call: Call, tmp_path: Path) -> None:
    call("export", "scores", tmp_path / "held_out.parquet", "-w", walked.workspace, "--held-out")
    exported = pl.read_parquet(tmp_path / "held_out.parquet")
    bundle = walked.workspace / "bundles" / walked.said["train"]["result"]["version"]
    stored = pl.read_parquet(bundle / "scores.parquet")
    assert stored["oof_score"].null_count() < len(stored)
    assert exported["account"].equals(stored["account_id"], check_names=False)
    expected = stored["oof_score"].fill_null(stored["score"])
    assert exported["score"].to_numpy() == pytest.approx(expected.to_numpy())


def test_ring_export_lists_every_member_rank_one_first(walked: Walked, call: Call, tmp_path: Path) -> None:
    assert call("export", "rings", tmp_path / "rings.csv", "-w", walked.workspace).code == 0
    table = pl.read_csv(tmp_path / "rings.csv")
    assert tuple(table.columns) == RING_COLUMNS
    assert table["rank"].is_sorted()
    assert table["rank"][0] == 1
    first = walked.said["rings"]["result"]["first"][0]
    assert table.filter(pl.col("ring") == first["ring"]).height == first["size"]


def test_embeddings_have_a_row_for_every_account(walked: Walked, call: Call, tmp_path: Path) -> None:
    assert call("export", "embeddings", tmp_path / "e.parquet", "-w", walked.workspace).code == 0
    table = pl.read_parquet(tmp_path / "e.parquet")
    assert table.height == 300
    assert table.columns[:2] == ["account", "e0"]


def test_an_unknown_ending_is_refused_before_any_work(walked: Walked, call: Call, tmp_path: Path) -> None:
    said = call("export", "scores", tmp_path / "scores.xlsx", "-w", walked.workspace)
    assert said.code == 2
    assert ".csv or .parquet" in said.err
    assert len(said.err.strip().splitlines()) == 1


def test_evaluate_reports_training_labels_apart(walked: Walked, call: Call, tmp_path: Path) -> None:
    accounts = [
        f"{row}" for row in pl.read_csv(walked.spec.parent / "signups.csv")["account"].unique().sort()
    ]
    rings = pl.read_csv(walked.spec.parent / "groups.csv", infer_schema=False)
    ring_of = dict(rings.select("account", "ring").iter_rows())
    truth = tmp_path / "truth.csv"
    lines = [f"{account},{int(account in ring_of)},{ring_of.get(account, '')}" for account in accounts]
    truth.write_text("\n".join(["account,label,ring", *lines, "nobody,1,"]) + "\n")
    said = call("evaluate", "--truth", truth, "-w", walked.workspace, "--json")
    result = said.document["result"]
    assert result["accounts_in_truth"] == len(accounts) + 1
    assert result["not_in_snapshot"] == 1
    assert len(result["scores"]) == 3
    fresh = result["scores"]["without a verdict in training"]
    assert fresh["n_accounts"] + result["with_training_verdict"] == len(accounts)
    assert result["rings"]["n_reported"] == rings["ring"].n_unique()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("id,label\n1,1\n", "no column 'account'", id="no-account"),
        pytest.param("account,label\n1,perhaps\n", "label 'perhaps' of account 1", id="odd-label"),
        pytest.param("account,label\n1,1\n1,0\n", "account 1 stands there more than once", id="twice"),
        pytest.param("account,label\nnobody,1\n", "none of its 1 accounts", id="strangers-only"),
    ],
)
def test_a_truth_that_cannot_be_used_says_why(
    walked: Walked, call: Call, tmp_path: Path, text: str, expected: str
) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(text)
    said = call("evaluate", "--truth", truth, "-w", walked.workspace)
    assert said.code == 2
    assert expected in said.err


def test_explain_an_account(walked: Walked, call: Call) -> None:
    account = pl.read_csv(walked.spec.parent / "groups.csv", infer_schema=False)["account"][0]
    said = call("explain", account, "-w", walked.workspace, "--json")
    result = said.document["result"]
    assert result["kind"] == "account"
    assert result["account"] == account
    assert 0 <= result["score"] <= 1
    for reason in result["reasons"]:
        assert {"code", "message", "impact", "evidence", "safe_for_user", "without"} == reason.keys()
    carriers = result["carriers"]
    assert {"nodes", "accounts", "relations", "of_nodes", "of_accounts", "least"} == carriers.keys()
    assert carriers["nodes"]
    shown = call("explain", account, "-w", walked.workspace).out
    assert "Shared nodes that carry the score" in shown
    assert carriers["nodes"][0]["what"] in shown
    assert any(reason["without"]["words"] in shown for reason in result["reasons"] if reason["without"])


def test_every_sentence_about_a_ring_names_its_evidence(walked: Walked, call: Call) -> None:
    ring = walked.said["rings"]["result"]["first"][0]["ring"]
    result = call("explain", ring, "-w", walked.workspace, "--json").document["result"]
    known = {item["id"] for item in result["detail"]["evidence"]}
    assert result["kind"] == "ring"
    assert result["detail"]["sentences"]
    assert all(set(sentence["evidence"]) <= known for sentence in result["detail"]["sentences"])
    shown = call("explain", ring, "-w", walked.workspace).out
    assert shown.count("[e") >= len(known)
    assert "best honest explanation: " in shown
    assert "\n  without " in shown
    for entry in result["detail"]["left_out"]:
        assert f"{entry['words']}  [{entry['code']}]" in shown


def test_a_ring_comes_with_its_queries(walked: Walked, call: Call) -> None:
    ring = walked.said["rings"]["result"]["first"][0]["ring"]
    queries = call("explain", ring, "-w", walked.workspace, "--json").document["result"]["cypher"]
    assert [query["id"] for query in queries[:2]] == ["ring", "found"]
    shown = call("explain", ring, "-w", walked.workspace, "--cypher").out
    assert all(query["text"] in shown for query in queries)
    assert f"explain {ring} --cypher" in call("explain", ring, "-w", walked.workspace).out
    account = pl.read_csv(walked.spec.parent / "groups.csv", infer_schema=False)["account"][0]
    refused = call("explain", account, "-w", walked.workspace, "--cypher")
    assert (refused.code, "is an account" in refused.err) == (2, True)


def test_explain_something_unknown(walked: Walked, call: Call) -> None:
    said = call("explain", "no-such-thing", "-w", walked.workspace)
    assert said.code == 2
    assert "neither an account" in said.err


def test_hash_prints_the_key_that_the_graph_holds(walked: Walked, call: Call) -> None:
    signups = pl.read_csv(walked.spec.parent / "signups.csv", infer_schema=False)
    device = signups["device"].drop_nulls()[0]
    said = call("hash", "device", device, "-w", walked.workspace, "--json")
    (entry,) = said.document["result"]["keys"]
    assert entry["known"]
    assert len(entry["key"]) == 32
    assert device not in said.out
    unknown = call("hash", "device", "never-seen", "-w", walked.workspace, "--json")
    assert not unknown.document["result"]["keys"][0]["known"]


def test_hash_reads_standard_input(walked: Walked, hash_key: str) -> None:
    command = [sys.executable, "-m", "ringwatch", "hash", "ip", "-w", str(walked.workspace)]
    done = subprocess.run(command, input="198.51.100.7\n", capture_output=True, text=True, check=True)
    assert len(done.stdout.strip()) == 32
    assert "subnet" in done.stderr


def test_two_trainings_with_one_seed_are_one_bundle(walked: Walked, call: Call, tmp_path: Path) -> None:
    copy = shutil.copytree(walked.workspace, tmp_path / "workspace")
    shutil.rmtree(copy / "bundles")
    again = call("train", "-w", copy, "--json").document["result"]
    assert again["version"] == walked.said["train"]["result"]["version"]


def test_promote_and_roll_back(walked: Walked, call: Call, tmp_path: Path) -> None:
    copy = shutil.copytree(walked.workspace, tmp_path / "workspace")
    first = walked.said["train"]["result"]["version"]
    twin = copy / "bundles" / "btwin"
    shutil.copytree(copy / "bundles" / first, twin)
    manifest = json.loads((twin / "manifest.json").read_text())
    (twin / "manifest.json").write_text(json.dumps(manifest | {"version": "btwin"}))
    listed = call("bundle", "list", "-w", copy, "--json").document["result"]
    assert {bundle["version"] for bundle in listed["bundles"]} == {first, "btwin"}
    assert listed["current"] == first
    promoted = call("bundle", "promote", "btwin", "-w", copy, "--json").document["result"]
    assert promoted == {"current": "btwin", "before": first}
    back = call("bundle", "rollback", "-w", copy, "--json").document["result"]
    assert back == {"current": first, "before": "btwin"}
    compared = call("bundle", "compare", "btwin", "-w", copy, "--json").document["result"]
    assert compared["accounts_in_both"] == 300
    assert compared["moved_more_than_0_1"] == 0


def test_promoting_what_is_not_there(walked: Walked, call: Call) -> None:
    said = call("bundle", "promote", "b0000000000", "-w", walked.workspace)
    assert said.code == 2
    assert "no bundle 'b0000000000'" in said.err


def test_simulate_writes_the_same_bytes_for_a_seed(call: Call, tmp_path: Path) -> None:
    spec = Path("examples/game_signups/simulation.yaml")
    for name in ("one", "two"):
        said = call("simulate", spec, "--out", tmp_path / name, "--json")
        assert said.code == 0
        assert said.document["result"]["simulated"] is True
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.gz"))
    assert len(files) > 5
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)
