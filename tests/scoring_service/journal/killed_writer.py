"""Kills a process that writes a journal, again and again, and says what was left; run by test_kill.py.

One process imports everything and forks the writers, so that a kill costs no second start.
"""

import asyncio
import json
import os
import random
import signal
import sys

from scoring_service.journal import GroupCommit, Journal
from tests.scoring_service.journal.events import entry

CLIENTS = 8


def write(place: str, commit: str, acknowledged: int, first: int) -> None:
    """Submit events from several clients until killed; tell each that was acknowledged."""

    async def client(group: GroupCommit, number: int) -> None:
        while True:
            kept = await group.submit(entry(number))
            # One write of a line this short reaches the pipe whole or not at all.
            os.write(acknowledged, f"{number} {kept.seq}\n".encode())
            number += CLIENTS

    async def run() -> None:
        with Journal.open(place, commit=commit) as journal:  # type: ignore[arg-type]
            group = GroupCommit(journal, lambda rows: None)
            await asyncio.gather(*(client(group, first + n) for n in range(CLIENTS)))

    asyncio.run(run())


def main(place: str, kills: int) -> None:
    """Kill that many writers, every other one with `disk`; say what was acknowledged and what is there."""
    chance = random.Random(4)
    told: list[tuple[int, int]] = []
    first = 0
    for kill in range(kills):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            write(place, ("process", "disk")[kill % 2], writing, first)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            lines = [pipe.readline() for _ in range(chance.randint(1, 150))]
            os.kill(child, signal.SIGKILL)
            # What was told before the kill and not read yet was acknowledged too.
            lines += pipe.readlines()
        os.waitpid(child, 0)
        told += [(int(number), int(seq)) for number, seq in map(str.split, lines)]
        first += 1_000_000
    with Journal.open(place) as journal:
        rows = [(row.seq, getattr(row.content, "event_id", None)) for row in journal.rows()]
        after = journal.append([entry(first)])[0].seq
    sys.stdout.write(json.dumps({"told": told, "rows": rows, "after": after}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
