"""The tests of the invariants, each run against a copy of the code that breaks what it guards."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("graph_etl", "features", "rings", "gnn", "tests")

# What is broken: file, the line as it stands, the line that breaks the invariant, the test that must notice.
BREAKS = [
    pytest.param(
        "features/visibility.py",
        "if positions[middle] < horizon:",
        "if positions[middle] < horizon + 1000:",
        "tests/features/test_past_only.py::test_later_rows_never_change_an_earlier_answer",
        id="1-past-only",
    ),
    pytest.param(
        "features/kernel.py",
        "arriving += 1",
        "arriving += 0",
        "tests/features/test_past_only.py::test_an_event_is_answered_as_if_it_were_already_in",
        id="2-one-feature-path",
    ),
    pytest.param(
        "rings/kernel.py",
        "if graph.hub_since[at] < horizon or count >= NODES:",
        "if count >= NODES:",
        "tests/rings/test_links.py::test_a_hub_links_nobody",
        id="3-hubs-never-link",
    ),
    pytest.param(
        "graph_etl/events.py",
        "kept = first == np.arange(len(first))",
        "kept = np.ones(len(first), np.bool_)",
        "tests/graph_etl/test_build.py::test_loading_twice_equals_loading_once",
        id="4-nothing-doubled",
    ),
    pytest.param(
        "graph_etl/journal_staging.py",
        "identity[given[own]] = row_names([types[own], ids[own]], int(own.sum()))",
        "assert own is not None",
        "tests/graph_etl/test_journal_build.py::test_files_told_again_by_the_journal_count_once",
        id="4-nothing-doubled-by-the-journal",
    ),
    pytest.param(
        "rings/identity.py",
        "ids[at] = before\n",
        "ids[at] = None\n",
        "tests/rings/test_identity.py::test_a_ring_that_loses_and_gains_members_keeps_its_id",
        id="5-repeatable",
    ),
    pytest.param(
        "graph_etl/identifiers.py",
        'return hmac.digest(self.secret, message, "sha256")[:_KEY_BYTES].hex()',
        "return normalised",
        "tests/graph_etl/test_quarantine.py::test_private_identifiers_rest_nowhere",
        id="7-raw-identifiers-never-rest",
    ),
    pytest.param(
        "graph_etl/erasure.py",
        "blank = ((self._dropped | self._gone | ~declared) & ~self._kept)[:-1]",
        "blank = (self._gone & ~self._kept)[:-1]",
        "tests/graph_etl/test_erasure.py::test_a_forgotten_account_is_not_in_the_next_snapshot",
        id="7-the-forgotten-rest-nowhere",
    ),
    pytest.param(
        "gnn/validation.py",
        "train = order[(table[order] != number) & (known.label[order] >= 0)]",
        "train = order[known.label[order] >= 0]",
        "tests/gnn/test_train.py::test_held_out_labels_never_reach_held_out_scores",
        id="8-no-peeking",
    ),
]


def run(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(("file", "line", "broken", "test"), BREAKS)
def test_breaking_an_invariant_fails_its_test(
    file: str, line: str, broken: str, test: str, tmp_path: Path
) -> None:
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    source = (tmp_path / file).read_text()
    assert line in source, f"{file} no longer holds the line that this test breaks"
    (tmp_path / file).write_text(source.replace(line, broken))
    result = run(tmp_path, test)
    assert result.returncode == 1, result.stdout + result.stderr  # 1: tests ran and failed
    assert "1 failed" in result.stdout
