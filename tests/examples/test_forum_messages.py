"""A source nobody has seen before, mapped from the documentation alone: nested JSON Lines and Parquet."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from graph_etl import BuildReport, Snapshot, Workspace, build, load_spec
from graph_etl.identifiers import Hasher, entity_key

SPEC = Path(__file__).parent / "forum_messages" / "spec.yaml"
START_MS = 1_740_000_000_000

MESSAGES = [
    {"uuid": "m1", "sender": {"id": 1, "address": "192.0.2.7"}, "recipient": 3, "at": 5, "board": "Sales"},
    {"uuid": "m2", "sender": {"id": 2, "address": "192.0.2.7"}, "recipient": 3, "at": 6, "board": " SALES"},
    {"uuid": "m3", "sender": {"id": 3, "address": "-"}, "recipient": 1, "at": 7, "board": "-", "copies": 4},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forum")
    shutil.copy(SPEC, folder)
    (folder / "messages").mkdir()
    lines = [
        json.dumps(message | {"sent_ms": START_MS + 1_000 * int(str(message["at"]))}) for message in MESSAGES
    ]
    (folder / "messages" / "a.jsonl").write_text("\n".join([*lines[:2], "{broken"]) + "\n")
    # The second export overlaps the first.
    (folder / "messages" / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(lines[1:]).encode()))
    decisions = [
        "member\toutcome\tdecided\tcase",
        "1\tbanned\t22.02.2025 09:30\tk7",
        "2\tspam\t22.02.2025 09:30\tk7",
        "3\tcleared\t23.02.2025 00:00\t",
    ]
    (folder / "moderation.tsv").write_text("\n".join(decisions))
    pl.DataFrame(
        {
            "member": [
                {"id": id_, "since": datetime.fromtimestamp(START_MS / 1000 + id_, UTC), "language": language}
                for id_, language in ((1, "de"), (2, "de"), (3, "en"))
            ],
            "first_address": ["::ffff:192.0.2.7", "192.0.2.99", None],
            "phone": ["030 1234567", "+49 30 123 45 67", "n/a"],
            "posts": [3, None, 120],
            "verified": [True, False, None],
        }
    ).write_parquet(folder / "members.parquet")
    return folder


@pytest.fixture(scope="module")
def built(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[BuildReport, Snapshot]:
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    report = build(load_spec(folder / "spec.yaml"), workspace, max_quarantine=0.5)
    return report, workspace.open_snapshot(report.snapshot_id)


def test_every_row_is_accounted_for(built: tuple[BuildReport, Snapshot]) -> None:
    report, _ = built
    counts = {
        count.mapping: (count.rows, count.in_graph, count.duplicates, count.quarantined)
        for count in report.sources
    }
    assert counts == {
        "accounts[0]": (3, 3, 0, 0),
        "events[0]": (5, 3, 1, 1),
        "events[1]": (5, 2, 1, 2),
        "verdicts[0]": (3, 3, 0, 0),
        "groups[0]": (3, 3, 0, 0),
    }
    assert all(
        count.rows == count.in_graph + count.duplicates + count.quarantined for count in report.sources
    )


def test_nested_fields_became_accounts_entities_and_attributes(
    folder: Path, built: tuple[BuildReport, Snapshot], hash_key: str
) -> None:
    _, snapshot = built
    spec, hasher = load_spec(folder / "spec.yaml"), Hasher(hash_key.encode())
    assert snapshot.n_accounts == 3
    assert {kind.name for kind in snapshot.kinds} == {"account", "address", "subnet", "phone", "board"}
    assert snapshot.account_index(entity_key(spec, "account", "1", hasher)) is not None
    assert snapshot.account_index("1") is None
    for kind, raw in (("address", "192.0.2.7"), ("phone", "+49301234567"), ("board", "sales")):
        assert snapshot.node_index(kind, entity_key(spec, kind, raw, hasher)) is not None, kind
    posts = snapshot.attribute_values[:, [attribute.name for attribute in snapshot.attributes].index("posts")]
    assert sorted(value for value in posts.tolist() if value == value) == [3.0, 120.0]


def test_verdicts_carry_the_time_from_which_they_were_known(built: tuple[BuildReport, Snapshot]) -> None:
    _, snapshot = built
    verdicts = snapshot.verdicts.sort("known_ms", "reason")
    assert verdicts["label"].to_list() == [1, 1, 0]
    assert verdicts["reason"].to_list() == ["banned", "spam", "cleared"]
    # 09:30 in Berlin is 08:30 UTC in February.
    assert verdicts["known_ms"][0] == int(datetime(2025, 2, 22, 8, 30, tzinfo=UTC).timestamp() * 1000)
    assert len(snapshot.groups) == 2
