"""Kill the service under load, a hundred times, and count what the journal lost: nothing, or this fails.

    python -m benchmarks.kill [--kills 100] [--seed 0] [--json]

Data: the small platform of tests/scoring_service. Half of the kills hit each commit mode. Four clients
send sign-ups and batches of context until ``kill -9`` ends the process between 0.2 and 1.2 s later. Prints
how many events clients were told to be accepted, how many were on the way, and how long each restart took.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path

from graph_etl.identifiers import HASH_KEY_VARIABLE
from tests.building import TEST_HASH_KEY
from tests.chaos.killing import COMMIT_MODES, Report, kill_often
from tests.scoring_service import small_platform


def _line(report: Report) -> str:
    return (
        f"commit={report.commit:<8} {report.kills:>4} kills  {report.told:>7,} accepted, 0 lost, 0 doubled  "
        f"{report.unanswered:>4} without an answer ({report.kept_unanswered} of them kept)  "
        f"{report.rows:>7,} rows  restart {statistics.median(report.restart_s):.1f} s "
        f"(longest {max(report.restart_s):.1f} s)"
    )


def main() -> None:
    """Kill, check, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kill", description="Kill the service under load."
    )
    parser.add_argument("--kills", type=int, default=100, help="in all; half of them for each commit mode")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    options = parser.parse_args()
    os.environ[HASH_KEY_VARIABLE] = TEST_HASH_KEY
    reports = []
    for commit in COMMIT_MODES:
        with tempfile.TemporaryDirectory() as folder:
            workspace = small_platform.make_workspace(Path(folder))
            kills = max(1, options.kills // len(COMMIT_MODES))
            reports.append(kill_often(workspace, commit, kills=kills, seed=options.seed))
        if not options.json:
            print(_line(reports[-1]), flush=True)
    if options.json:
        print(json.dumps([asdict(report) for report in reports]))


if __name__ == "__main__":
    main()
