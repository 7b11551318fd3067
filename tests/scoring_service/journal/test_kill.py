"""`kill -9` in the middle: what was acknowledged is there exactly once, without gaps, and it goes on."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_what_was_acknowledged_survives_a_kill(place: str) -> None:
    kills = 6
    done = subprocess.run(
        [sys.executable, "-m", "tests.scoring_service.journal.killed_writer", place, str(kills)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    rows = {seq: event_id for seq, event_id in said["rows"]}
    assert sorted(rows) == list(range(1, len(rows) + 1))
    assert len(set(rows.values())) == len(rows)
    assert len(said["told"]) > kills
    for number, seq in said["told"]:
        assert rows[seq] == f"e-{number}"
    assert said["after"] == len(rows) + 1
