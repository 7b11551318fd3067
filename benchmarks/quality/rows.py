"""The rows of the table: what each method answers for a data set."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.peers.problem import OneClass
from benchmarks.quality.cells import Cell, Cells, code_hash
from benchmarks.quality.sets import ALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.peers.problem import Part, Scored
    from benchmarks.quality.sets import DataSet

PRIOR: Final = "prior"
RINGWATCH: Final = "ringwatch"

TITLES: Final[dict[str, str]] = {
    PRIOR: "majority (the same score for all)",
    "rule": "rule: shares something, of the same day first",
    "reputation": "rule: share of known bad on the same thing",
    "lightgbm": "LightGBM, own attributes, no graph",
    "xgbgraph": "XGBGraph",
    "rfgraph": "RFGraph",
    "graphsage": "GraphSAGE alone",
    RINGWATCH: "**Ringwatch**",
}
"""The rows, in the order of the table."""

PARTS: Final[dict[str, tuple[str, ...]]] = {
    "links": ("link",),
    "bursts": ("burst",),
    "neighbour aggregates": ("direct", "shared", "around"),
    "communities": ("community",),
    "coordinates": ("spectral",),
    "rhythm": ("rhythm",),
    "embeddings": ("embedding",),
    "verdicts of others": ("contact", "verdict"),
    "GraphSAGE": ("graph_sage",),
}
"""Parts of Ringwatch by the families of their inputs; a row each, where a data set has them."""

PUBLISHED: Final[dict[str, dict[str, float]]] = {
    "xgboost_published": {"auroc": 0.730, "average_precision": 0.383, "recall_at_k": 0.401},
    "xgbgraph_published": {"auroc": 0.829, "average_precision": 0.544, "recall_at_k": 0.531},
    "rfgraph_published": {"auroc": 0.843, "average_precision": 0.565, "recall_at_k": 0.560},
    "graphsage_published": {"average_precision": 0.437},
}
"""Tang et al. (2023), tolokers, the mean of the ten official splits, nothing searched."""

PUBLISHED_TITLES: Final[dict[str, str]] = {
    "xgboost_published": "XGBoost, no graph",
    "xgbgraph_published": "XGBGraph",
    "rfgraph_published": "RFGraph",
    "graphsage_published": "GraphSAGE (pool)",
}

_PEER_CODE: Final = tuple(
    f"benchmarks/peers/{name}.py" for name in ("aggregates", "as_of", "graph", "problem", "static", "trees")
)
_SAGE_CODE: Final = (*_PEER_CODE, "benchmarks/peers/sage.py")
_RULE_CODE: Final = ("graph_etl", "features", "benchmarks/peers/rules.py")
_OUR_CODE: Final = ("graph_etl", "features", "rings", "gnn")


@dataclass
class Runner:
    """Computes cells.

    Attributes:
        cells: Where they are kept.
        seed: Of all models.
        n_threads: Of all models.
    """

    cells: Cells
    seed: int = 0
    n_threads: int = 1
    _hashes: dict[tuple[str, ...], str] = field(default_factory=dict)

    def scores(self, data: DataSet, row: str) -> list[Cell] | None:
        """Scores of one method for every part.

        Args:
            data: The data set.
            row: Name of the row; ``less X`` for Ringwatch less a part.

        Returns:
            One cell a part, scores ``float64[A]``; None where there is nothing to learn from, or no such
            thing in this data set.
        """
        if row == "rule":
            whole = replace(data, verdicts=ALL)  # a rule needs none, so one cell serves them all
            return [self._cell(whole, None, row, _RULE_CODE, lambda: (data.rule(), {}))] * len(data.parts)
        if row in data.own_rules:
            return [Cell(data.own_rules[row], 0.0, {})] * len(data.parts)
        if row == "reputation":
            scores = data.reputation()
            return None if scores is None else [Cell(scores, 0.0, {})] * len(data.parts)
        if row == RINGWATCH or row.startswith("less "):
            return self._ours(data, row)
        if row == "lightgbm" and not data.problem.own().shape[1]:
            return None
        code = _SAGE_CODE if row.startswith("graphsage") else _PEER_CODE
        try:
            return [self._cell(data, part, row, code, self._peer(data, part, row)) for part in data.parts]
        except OneClass:
            return None

    def _cell(
        self,
        data: DataSet,
        part: Part | None,
        row: str,
        code: tuple[str, ...],
        make: Callable[[], tuple[NDArray[np.float64], dict[str, Any]]],
    ) -> Cell:
        if code not in self._hashes:
            self._hashes[code] = code_hash(*code)
        verdicts = data.verdicts
        inputs = {
            "set": data.name,
            "content": data.snapshot.manifest["content_hash"],
            "verdicts": [verdicts.name, verdicts.share, verdicts.bad_only, verdicts.seed],
            "part": None if part is None else [part.name, part.fingerprint],
            "row": row,
            "seed": self.seed,
            "code": self._hashes[code],
        }
        few = "" if verdicts.name == "all" else f".{verdicts.name}.{verdicts.seed}"
        words = f"{data.name}{few}.{row}" + ("" if part is None else f".{part.name}")
        return self.cells.get("".join(c if c.isalnum() or c in "._" else "-" for c in words), inputs, make)

    def _peer(
        self, data: DataSet, part: Part, row: str
    ) -> Callable[[], tuple[NDArray[np.float64], dict[str, Any]]]:
        def made() -> tuple[NDArray[np.float64], dict[str, Any]]:
            found = peer(data, part, row, seed=self.seed, n_threads=self.n_threads)
            scores = np.full(len(part.label), np.nan)
            scores[part.test] = found.score
            return scores, found.chosen

        return made

    def _ours(self, data: DataSet, row: str) -> list[Cell] | None:
        without: tuple[str, ...] = ()
        if row.startswith("less "):
            some = PARTS[row.removeprefix("less ")]
            without = tuple(sorted(data.families() & set(some)))
            if not without:
                return None

        def trained(number: int) -> tuple[NDArray[np.float64], dict[str, Any]]:
            return data.ringwatch(number, seed=self.seed, n_threads=self.n_threads, without=without)

        if data.one_chain:
            return [self._cell(data, None, row, _OUR_CODE, lambda: trained(0))] * len(data.parts)
        return [
            self._cell(data, part, row, _OUR_CODE, partial(trained, number))
            for number, part in enumerate(data.parts)
        ]


def peer(data: DataSet, part: Part, row: str, *, seed: int, n_threads: int) -> Scored:
    """Fit one peer and score the part's test examples.

    Args:
        data: The data set.
        part: The division.
        row: Name of the row.
        seed: Of the model.
        n_threads: Of the model.

    Returns:
        What it answers.

    Raises:
        KeyError: If there is no such row.
        OneClass: If there is nothing to learn from.
    """
    from benchmarks.peers import sage, trees  # here: the rules need neither PyTorch nor XGBoost

    part.everything()
    options: Any = {"seed": seed, "n_threads": n_threads}
    problem = data.problem
    methods: dict[str, Callable[[], Scored]] = {
        "lightgbm": lambda: trees.features_only(problem.own(), part, **options),
        "xgbgraph": lambda: trees.xgb_graph(problem.aggregates(), part, **options),
        "rfgraph": lambda: trees.rf_graph(problem.aggregates(), part, **options),
        "graphsage": lambda: sage.plain_sage(problem.network(), part, **options),
        "xgboost_published": lambda: trees.xgb_graph(
            problem.own(), part, settings=trees.XGB_SETTINGS[:1], **options
        ),
        "xgbgraph_published": lambda: trees.xgb_graph(
            problem.aggregates(), part, settings=trees.XGB_SETTINGS[:1], **options
        ),
        "rfgraph_published": lambda: trees.rf_graph(
            problem.aggregates(), part, settings=trees.FOREST_SETTINGS[:1], **options
        ),
        "graphsage_published": lambda: sage.plain_sage(
            problem.network(), part, settings=(sage.PUBLISHED_SETTINGS,), **options
        ),
    }
    return methods[row]()


def parts_of(data: DataSet) -> list[str]:
    """Rows of Ringwatch less a part, as far as the data set has it.

    Args:
        data: The data set.

    Returns:
        Names such as ``less links``.
    """
    families = data.families()
    return [f"less {part}" for part, some in PARTS.items() if families & set(some)]
