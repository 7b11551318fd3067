"""Kill a load into Neo4j, or its server, at random moments; go on; does the database hold the snapshot?

    python -m benchmarks.neo4j_kill [--workspace DIR] [--kills 10] [--seed 0]

Without a workspace a drawn platform of about 60,000 relationships is loaded, and one per cent more over it.
Kills of the client (``kill -9``), stops and kills of the server take turns; a stopped or killed server is
started again at once. Then the load is run again, and `verify` compares all of the database. Any difference
ends the benchmark with exit status 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.neo4j_data import draw
from tests.chaos.killing_loads import Kill, kill_loads


def _line(kill: Kill) -> str:
    client = "went on by itself" if kill.survived else "ended" if kill.said else "killed"
    return (
        f"| {kill.how} | {kill.at} of {kill.of} | {kill.skipped} | {client} | {kill.resumed_s:.1f}"
        f" | {kill.differences} |"
    )


def main() -> None:
    """Kill, check, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neo4j_kill", description=__doc__)
    parser.add_argument("--workspace", type=Path, help="its current snapshot is loaded")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found: list[Kill] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.workspace is not None:
            works: list[tuple[str, Path, str | None]] = [("first load", options.workspace, None)]
        else:
            drawn = draw(folder, 11_000, options.seed)
            works = [
                ("first load", drawn.workspace, None),
                ("increment of 1 %", drawn.workspace, drawn.first),
            ]
        for number, (title, workspace, base) in enumerate(works):
            print(f"\n{title}")
            print("| how | after batch | batches there | client | went on in, s | differences |")
            print("|---|---|---|---|---|---|")
            for kill in kill_loads(
                workspace, folder / str(number), kills=options.kills, seed=options.seed, base=base
            ):
                print(_line(kill), flush=True)
                found.append(kill)
    for said in dict.fromkeys(kill.said for kill in found if kill.said):
        print(f"last words of a client: {said}")
    sys.exit(int(any(kill.differences for kill in found)))


if __name__ == "__main__":
    main()
