"""The examples are valid, find their data, and map it to what their texts say."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from graph_etl import Workspace, build, load_spec
from graph_etl.readers import ROW_ERROR, scan

EXAMPLES = Path(__file__).parents[2] / "examples"
SPECS = sorted(EXAMPLES.glob("*/spec.yaml"))

ORDERS = """\
user_id,signup_time,purchase_time,purchase_value,device_id,source,browser,sex,age,ip_address,class
1,2015-01-01 18:52,2015-01-01 18:52,15,DEV1,SEO,Opera,M,53,2621473820,1
2,2015-01-01 18:53,2015-01-01 18:53,15,DEV1,SEO,Opera,M,53,2621473820.3,1
3,2015-02-24 22:55,2015-04-18 02:47,34,DEV2,Ads,Chrome,F,39,732758368.8,0
4,2015-06-07 20:39,2015-06-08 01:38,16,DEV3,Direct,Chrome,F,53,,0
"""
EDITS = "u,i,ts,label\n0,8227,0,0\n1,8228,36.0,0\n1,8227,77,1\n2,8228,2600000,0\n"


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parent.name)
def test_an_example_is_valid_and_says_where_it_is_from(path: Path) -> None:
    spec = load_spec(path)
    assert spec.name == path.parent.name
    assert spec.title
    assert spec.attribution
    readme = (path.parent / "README.md").read_text()
    assert f"examples/{spec.name}/spec.yaml" in readme


def test_all_examples_are_there() -> None:
    names = {path.parent.name for path in SPECS}
    assert {"game_signups", "hop_sybil", "tolokers", "fraud_ecommerce", "jodie_wikipedia"} <= names


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("hop_sybil", {"accounts": 43_052, "transfers": 758_877, "folds": 30_922}),
        ("tolokers", {"workers": 11_758, "coworkers": 519_000}),
    ],
)
def test_shipped_data_is_whole(name: str, rows: dict[str, int]) -> None:
    spec = load_spec(EXAMPLES / name / "spec.yaml")
    assert set(spec.sources) == set(rows)
    for source, expected in rows.items():
        (file,) = scan(spec, source)
        counted = file.rows().select(pl.len(), pl.col(ROW_ERROR).count().alias("bad")).collect()
        assert counted.row(0) == (expected, 0)


def test_folds_of_hop_sybil_cut_no_known_group_in_two() -> None:
    spec = load_spec(EXAMPLES / "hop_sybil" / "spec.yaml")
    tables = {source: scan(spec, source)[0].rows().collect() for source in ("accounts", "folds")}
    known = tables["accounts"].join(tables["folds"].select("account", "fold"), on="account")
    assert len(known) == len(tables["folds"])
    assert known["sybil"].null_count() == 0
    for group in ("auto_group", "report_group"):
        folds = known.drop_nulls(group).group_by(group).agg(pl.col("fold").n_unique())
        assert folds["fold"].max() == 1, group


def test_a_shop_is_mapped_from_one_wide_table(tmp_path: Path) -> None:
    (tmp_path / "Fraud_Data_first51689.csv.gz").write_bytes(gzip.compress(ORDERS.encode()))
    workspace = Workspace(tmp_path / "workspace")
    report = build(load_spec(EXAMPLES / "fraud_ecommerce" / "spec.yaml"), workspace, data_dir=tmp_path)
    snapshot = workspace.open_snapshot()
    assert (report.accounts, report.events) == (4, 8)
    # 2621473820 and 2621473820.3 are one address, rounded differently; the fourth account has none.
    assert report.entities == {"device": 3, "ip": 2, "subnet": 2}
    assert report.edges == {"used:device": 8, "used:ip": 6, "used:subnet": 6}
    verdicts = snapshot.verdicts
    assert verdicts["label"].sum() == 2
    first = verdicts["known_ms"].min()
    # 30 days after the purchase on 1 January 2015, 18:52 UTC.
    assert first == 1_420_138_320_000 + 30 * 86_400_000


def test_a_log_without_a_table_of_accounts_is_mapped(tmp_path: Path) -> None:
    (tmp_path / "wikipedia.csv.gz").write_bytes(gzip.compress(EDITS.encode()))
    workspace = Workspace(tmp_path / "workspace")
    report = build(load_spec(EXAMPLES / "jodie_wikipedia" / "spec.yaml"), workspace, data_dir=tmp_path)
    snapshot = workspace.open_snapshot()
    assert (report.accounts, report.entities) == (3, {"page": 2})
    banned = snapshot.account_index("1")
    assert snapshot.verdicts.select("account", "label", "known_ms", "reason").rows() == [
        (banned, 1, 77_000, None)
    ]
    assert snapshot.node_index("page", "8227") is not None
