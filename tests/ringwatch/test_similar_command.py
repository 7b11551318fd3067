"""`ringwatch similar`: the accounts most like one, with the index and without it."""

from pathlib import Path

from gnn import Bundle
from gnn.embedding import embed_here, folder_of
from graph_etl import Workspace
from tests.ringwatch.conftest import Call, Walked


def test_similar_accounts_are_listed_the_nearest_first(walked: Walked, call: Call, tmp_path: Path) -> None:
    place = Workspace(walked.workspace)
    snapshot = place.open_snapshot()
    version = place.current()["bundle"]
    assert version is not None
    account = snapshot.account_ids[7]
    missing = call("similar", account, "-w", walked.workspace)
    assert missing.code == 2
    assert "make them with `ringwatch ray embed`" in missing.err
    folder = folder_of(place.path, version, snapshot.id)
    embed_here(snapshot, Bundle.open(place.path_of("bundle", version)), folder)
    found = [
        call("similar", account, "--top", "5", "-w", walked.workspace, "--json", *more).document["result"]
        for more in ((), ("--exact",), ("--embeddings", str(folder)))
    ]
    cosines = [one["cosine"] for one in found[0]["similar"]]
    assert cosines == sorted(cosines, reverse=True)
    assert len(cosines) == 5
    assert cosines == [one["cosine"] for one in found[1]["similar"]]
    assert found[0] == found[2]
    assert account not in {one["account"] for one in found[0]["similar"]}
    assert found[0]["bundle"] == version
    unknown = call("similar", "nobody", "-w", walked.workspace)
    assert unknown.code == 2
    assert "'nobody' is no account of" in unknown.err
    assert len(unknown.err.strip().splitlines()) == 1
    nothing = call("similar", account, "-w", tmp_path / "none")
    assert nothing.code == 2
