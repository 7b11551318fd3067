"""The example builds: exactly the intended rows are quarantined, crowds are hubs, farms are not."""

from pathlib import Path

import polars as pl
import pytest

from graph_etl.build import build
from graph_etl.identifiers import Hasher, entity_key
from graph_etl.simulate import SimulatedPlatform
from graph_etl.snapshot import Snapshot
from graph_etl.spec import Spec, load_spec
from graph_etl.workspace import Workspace

EXAMPLE = Path(__file__).parents[3] / "examples" / "game_signups"


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_spec(EXAMPLE / "spec.yaml")


@pytest.fixture(scope="module")
def snapshot(spec: Spec, tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Snapshot:
    assert hash_key
    workspace = Workspace(tmp_path_factory.mktemp("game"))
    build(spec, workspace)
    return workspace.open_snapshot()


def _hubs(snapshot: Snapshot, kind: str) -> set[str]:
    return set(snapshot.hubs.filter(pl.col("kind") == kind)["key"])


def _keys(spec: Spec, kind: str, raw: pl.Series) -> set[str]:
    hasher = Hasher.from_env(required=True)
    return {entity_key(spec, kind, value, hasher) for value in raw.unique()}


def test_only_the_damage_is_quarantined(snapshot: Snapshot, platform: SimulatedPlatform) -> None:
    faults, counts = platform.faults, snapshot.manifest["counts"]
    assert counts["quarantined"] == faults["malformed_rows"] + faults["conflicting_rows"]
    assert counts["duplicates"] == faults["repeated_rows"]
    assert counts["accounts"] == snapshot.n_accounts == 5_000
    assert counts["rows"] == sum(t.height for name, t in platform.tables.items() if name != "truth")
    assert counts["rows"] == counts["in_graph"] + counts["duplicates"] + counts["quarantined"]
    assert counts["quarantined"] < 0.05 * counts["rows"]


def test_campus_and_carrier_addresses_are_hubs(snapshot: Snapshot, spec: Spec, uses: pl.DataFrame) -> None:
    crowds = uses.filter(pl.col("ip").str.contains(r"^(100\.|172\.24\.)"))["ip"]
    assert crowds.n_unique() == 12
    assert _keys(spec, "ip", crowds) <= _hubs(snapshot, "ip")


def test_no_device_and_no_household_is_a_hub(
    snapshot: Snapshot, spec: Spec, signups: pl.DataFrame, uses: pl.DataFrame
) -> None:
    assert _hubs(snapshot, "device") == set()
    members = signups.filter(pl.col("place") == "household")["account_id"]
    at_home = uses.filter(
        pl.col("account_id").is_in(members.implode()) & pl.col("ip").str.contains(r"^10\.\d+\.\d+\.\d+$")
    )["ip"]
    assert at_home.n_unique() > 300
    assert not _keys(spec, "ip", at_home) & _hubs(snapshot, "ip")


def test_a_rented_subnet_still_links_its_farm(snapshot: Snapshot, spec: Spec, signups: pl.DataFrame) -> None:
    rented = signups.filter(pl.col("ip").str.starts_with("198.19."))["ip"].str.replace(r"\d+$", "0/24")
    assert rented.n_unique() == 2
    assert not _keys(spec, "subnet", rented) & _hubs(snapshot, "subnet")


def test_aliases_of_one_mailbox_are_one_node(spec: Spec, signups: pl.DataFrame) -> None:
    for _, farm in signups.filter(pl.col("tactic") == "alias_farm").group_by("ring"):
        readable = farm.filter(pl.col("email").str.contains(r".@."))["email"]
        assert readable.n_unique() >= 9
        assert len(_keys(spec, "email", readable)) == 1


def test_no_raw_identifier_is_on_disk(snapshot: Snapshot, signups: pl.DataFrame) -> None:
    keys = set(snapshot.node_keys.to_list())
    for column in ("device_id", "ip", "email", "phone"):
        assert not keys & set(signups[column].drop_nulls())


def test_every_request_names_a_node_of_the_graph(
    snapshot: Snapshot, spec: Spec, platform: SimulatedPlatform
) -> None:
    hasher = Hasher.from_env(required=True)
    for body in platform.requests.values():
        device = entity_key(spec, "device", body["identifiers"]["device"], hasher)
        node = snapshot.node_index("device", device)
        assert node is not None
        into = next(r for r in snapshot.relations if r.name == "used:device").pair_in
        assert into.indptr[node + 1] > into.indptr[node]
        assert snapshot.account_index(body["account"]["id"]) is None
