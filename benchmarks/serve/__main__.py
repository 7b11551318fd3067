"""What an answer of ``/v1/risk`` costs beside a bare endpoint of the same models, in one run.

    python -m benchmarks.serve [--accounts 1000000 --identifiers 2000000 --links 6000000] [--rounds 5]
                               [--seconds 4] [--connections 1 8 32] [--folder DIR] [--write] [--json]

One worker of the service per commit mode and the bare endpoint run side by side over the same drawn platform;
wrk sends sign-ups to one after the other, in rounds, so that what else the machine does hits all alike. A
third of the sign-ups bring identifiers that the graph has not seen. Figures are medians over the rounds.
``--write`` puts the tables into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.serve.data import Size
from benchmarks.serve.load import find_wrk
from benchmarks.serve.measured import measure
from benchmarks.serve.parts import costs_of_parts
from benchmarks.serve.prepared import prepare
from benchmarks.serve.report import as_json, as_text, write_into
from graph_etl import RingwatchError

ROOT = Path(__file__).resolve().parents[2]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serve", description="What an answer of /v1/risk costs."
    )
    size = Size()
    parser.add_argument("--accounts", type=int, default=size.accounts)
    parser.add_argument("--identifiers", type=int, help="default: two an account")
    parser.add_argument("--links", type=int, help="default: six an account")
    parser.add_argument("--verdicts", type=int, default=size.verdicts)
    parser.add_argument("--seed", type=int, default=size.seed)
    parser.add_argument("--rings", action="store_true", help="find rings too before the service starts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each round, target and connections")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument(
        "--events", type=int, default=2_000, help="events that the cost of each part is timed on"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / ".ringwatch" / "bench" / "serve")
    parser.add_argument("--prepare", action="store_true", help="only draw, build and train")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def main() -> int:
    """Measure and print; returns the exit code."""
    options = _arguments()
    try:
        find_wrk()
        size = Size(
            accounts=options.accounts,
            identifiers=options.identifiers or 2 * options.accounts,
            links=options.links or 6 * options.accounts,
            verdicts=options.verdicts,
            seed=options.seed,
        )
        prepared = prepare(options.folder, size, with_rings=options.rings)
        if options.prepare:
            return 0
        with tempfile.TemporaryDirectory(dir=prepared.folder) as scratch, ExitStack() as stack:
            found = measure(
                prepared,
                Path(scratch),
                stack,
                rounds=options.rounds,
                seconds=options.seconds,
                connections=options.connections,
            )
        parts = costs_of_parts(prepared, n_events=options.events)
    except (RingwatchError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(as_json(prepared, found, parts)))
    else:
        print(as_text(prepared, found, parts))
    if options.write:
        write_into(ROOT / "docs" / "benchmarks.md", as_text(prepared, found, parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
