"""A snapshot that was built with the journal answers as the live graph did that had it on top."""

import numpy as np
import pytest

from features import compute, registry_of
from features.live import LiveGraph
from graph_etl import Content, LiveEvent, LiveVerdict, Snapshot, build
from tests.building import PLATFORM_SPEC, Built, build_from_text, platform_files
from tests.graph_etl.journals import write_journal

MINUTE_MS = 60_000


def _said(snapshot: Snapshot) -> list[tuple[int, Content]]:
    """Sixteen accounts on devices that are known, each with a gift; one of them is banned; one comes back."""
    start_ms = int(snapshot.event_known_ms[-1]) + MINUTE_MS
    devices = [snapshot.node_keys[int(node)] for node in np.flatnonzero(snapshot.node_kind == 1)[:3]]
    said: list[tuple[int, Content]] = []
    for at in range(16):
        name, now_ms = f"new{at:02}", start_ms + at * MINUTE_MS
        told: dict[str, float | str | bool] = {"country": "DE", "form_s": 5.0 + at, "newsletter": True}
        used = (("device", devices[at % 3]),)
        given = (("gift", "account", "h001", 3.0),)
        said.append((now_ms, LiveEvent("signup", name, now_ms, f"n{at}", used, attributes=told)))
        said.append((now_ms, LiveEvent("gift", name, now_ms, f"ng{at}", interactions=given)))
    said.append((start_ms + 60 * MINUTE_MS, LiveVerdict("new03", 1, start_ms, "analyst")))
    back_ms = start_ms + 90 * MINUTE_MS
    said.append((back_ms, LiveEvent("login", "new03", back_ms, "back", (("device", devices[0]),))))
    return said


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> tuple[LiveGraph, LiveGraph]:
    """The journal on top of a snapshot, and the snapshot that was built from both."""
    folder = tmp_path_factory.mktemp("journal_build")
    built: Built = build_from_text(folder, PLATFORM_SPEC, platform_files())
    journal = write_journal(folder / "journal.jsonl", _said(built.snapshot))
    on_top = LiveGraph(built.snapshot)
    on_top.apply_all(journal.rows())
    report = build(built.spec, built.workspace, journal=journal)
    return on_top, LiveGraph(built.workspace.open_snapshot(report.snapshot_id))


@pytest.mark.parametrize("account", ["new05", "new03", "h001", "nobody-yet"])
def test_every_feature_is_the_same_bit_by_bit(graphs: tuple[LiveGraph, LiveGraph], account: str) -> None:
    on_top, inside = graphs
    assert on_top.last_seq == inside.last_seq == 34
    at_ms = int(inside.snapshot.event_known_ms[-1]) + MINUTE_MS
    device = inside.snapshot.node_keys[int(np.flatnonzero(inside.snapshot.node_kind == 1)[0])]
    event = LiveEvent("login", account, at_ms, "asked", (("device", device),))
    answers = [compute(graph, graph.question(event)) for graph in graphs]
    names = registry_of(inside.snapshot).names
    differing = [
        name
        for name, one, other in zip(names, *(answer[0] for answer in answers), strict=True)
        if one.tobytes() != other.tobytes()
    ]
    assert differing == []
    assert np.isfinite(answers[0]).sum() > 100  # not vacuous


def test_what_is_known_of_an_account_is_the_same(graphs: tuple[LiveGraph, LiveGraph]) -> None:
    for graph in graphs:
        banned = graph.account_index("new03")
        assert banned is not None
        assert graph.known_bad.holds(banned, graph.horizon)
        assert graph.account_index("new15") is not None
