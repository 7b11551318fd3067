"""What each part of an answer costs in this process, on the same workspace: the service's own code runs."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

import gnn
from benchmarks.serve.prepared import HASH_KEY, Prepared
from benchmarks.serve.requests import sign_ups
from benchmarks.serve.stopwatch import Stopwatch
from features import LiveGraph
from gnn import inputs, scorer
from scoring_service import bodies
from scoring_service.journal import Entry, Journal
from scoring_service.live import LiveState
from scoring_service.loading import Loaded
from scoring_service.logs import configure_logging
from scoring_service.risk import answering, reading, service
from scoring_service.risk.schemas import RiskRequest
from scoring_service.settings import ServiceSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring_service.risk.service import Assessed

_WARM_UP: Final = 200
_WHOLE: Final = "all of it in this process"
_REST: Final = "the rest, event loop included"
# The parts in the order in which an answer goes through them, and where their functions are looked up.
_PLACES: Final[dict[str, list[tuple[Any, str]]]] = {
    "parse": [(bodies, "parsed")],
    "hash identifiers": [(reading, "keys_of"), (reading, "account_key")],
    "read the rest of the request": [(service.RiskService, "read")],
    "look up nodes, pose the question": [(LiveGraph, "question")],
    "who else used the identifiers": [(service, "_look_up")],
    "edges that it brings": [(scorer, "extras_of")],
    "features": [(inputs, "compute")],
    "links": [(inputs, "link_features")],
    "contacts with bad accounts": [(scorer, "contact")],
    "GraphSAGE": [(scorer, "run_sage")],
    "trees": [(scorer, "margins")],
    "percentile": [(scorer, "percentile_of")],
    "rest of the score": [(service, "_score")],
    "ring": [(service, "_reached_ring")],
    "policy": [(service, "decide")],
    "reasons": [(gnn, "reasons")],
    "encode": [(service, "_answered"), (answering, "with_position")],
    "journal row": [(Journal, "prepare")],
    "commit=process": [(Journal, "write")],
    "make visible": [(Loaded, "apply")],
}


@dataclass(frozen=True, slots=True)
class PartCost:
    """What one part takes.

    Attributes:
        name: The part.
        median_us: Median over the answers that went through it, microseconds.
        p99_us: All but one in a hundred were as fast.
        share_of_answers: How many of the answers went through it, 0 to 1.
    """

    name: str
    median_us: float
    p99_us: float
    share_of_answers: float


def costs_of_parts(prepared: Prepared, *, n_events: int) -> list[PartCost]:
    """Answer sign-ups in this process and time each part where it stands.

    Args:
        prepared: Platform and workspace.
        n_events: Answers to time, once without reasons and once with.

    Returns:
        The parts in order; reasons from the second pass; a commit to disk by itself, because it runs beside
        the event loop.
    """
    os.environ["RINGWATCH_HASH_KEY"] = HASH_KEY
    configure_logging("json", "warning")
    with tempfile.TemporaryDirectory(dir=prepared.folder) as scratch:
        plain, kept = asyncio.run(_timed(prepared, Path(scratch), "parts", n_events, with_reasons=False))
        explained, _ = asyncio.run(
            _timed(prepared, Path(scratch), "reasons", max(50, n_events // 4), with_reasons=True)
        )
        parts = [_cost(part, plain) for part in [*_PLACES, _REST, _WHOLE] if part != "reasons"]
        parts = [part for part in parts if part.share_of_answers > 0]
        return [
            *parts,
            _cost("reasons", explained),
            _cost_of("commit=disk, one row", _disk_commits(Path(scratch), kept[: n_events // 2])),
        ]


async def _timed(
    prepared: Prepared, scratch: Path, name: str, n_events: int, *, with_reasons: bool
) -> tuple[list[dict[str, float]], list[Assessed]]:
    settings = ServiceSettings(
        workspace=prepared.workspace.path,
        database_url=f"sqlite:///{(scratch / f'{name}.db').resolve()}",
        commit="process",
    )
    state, watch, kept = LiveState(settings), Stopwatch(), []
    try:
        await state.start()
        with watch.over(_PLACES):
            for body in sign_ups(prepared.known, _WARM_UP + n_events, name):
                data = orjson.dumps(body)
                watch.begin()
                started = time.perf_counter()
                _, assessed = await answering.answer_risk(
                    state, bodies.parsed(RiskRequest, data), with_reasons=with_reasons, use=None
                )
                took = time.perf_counter() - started
                call = watch.calls[-1]
                call[_REST] = took - sum(call.values())
                call[_WHOLE] = took
                kept.append(assessed)
    finally:
        await state.close()
    return watch.calls[_WARM_UP:], kept[_WARM_UP:]


def _disk_commits(scratch: Path, kept: Sequence[Assessed]) -> list[float]:
    took = []
    with Journal.open(scratch / "disk.db", commit="disk") as journal:
        for assessed in kept:
            entry = Entry(assessed.event, assessed.answered)
            started = time.perf_counter()
            journal.append([entry])
            took.append(time.perf_counter() - started)
    return took


def _cost(part: str, calls: Sequence[dict[str, float]]) -> PartCost:
    took = [call[part] for call in calls if part in call]
    return _cost_of(part, took, len(took) / len(calls))


def _cost_of(part: str, took_s: Sequence[float], share: float = 1.0) -> PartCost:
    if not took_s:
        return PartCost(part, 0.0, 0.0, 0.0)
    took_us = 1e6 * np.array(took_s)
    return PartCost(
        name=part,
        median_us=round(float(np.median(took_us)), 1),
        p99_us=round(float(np.quantile(took_us, 0.99)), 1),
        share_of_answers=round(share, 3),
    )
