"""What a run measures a whole platform by; a run after it can measure by the same.

Three things of a run belong to no ring: the pair model, the ranks by which behaviour is compared, and how
tight the groups are that chance makes. They cost most of a run's time, and learned anew they move more rings
than one new event in a hundred does (``benchmarks/ring_incremental.py``). With another bundle the scores that
pairs are weighed by are others, so what chance makes is found anew. `rings.touched` tells what becomes of all
the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import polars as pl

from graph_etl.code import code_version
from rings.errors import RingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from graph_etl import Snapshot

MOST_GROWTH: Final = 0.1
"""A platform whose accounts, events or verdicts are more by this share, or fewer, is measured anew."""


@dataclass(frozen=True)
class Yardstick:
    """What a platform was measured by.

    Attributes:
        null: ``float64[K]``, tightness of the groups that chance makes.
        null_odds: ``float64[K]``, how far what their members do speaks for coordination.
        runs: Runs of the null model that they came from.
        share: Share of the platform that each run dealt out.
        most: Groups of the largest of these runs, on the whole platform, or of what was found there if more.
        places: For each column of the profiles that is compared by rank its place; None where no pair was.
        values: For each of them the values that it has, ascending.
        ranks: The rank of each value.
        ARRAYS: What files hold.
    """

    ARRAYS: ClassVar[tuple[str, ...]] = (
        "null",
        "null_odds",
        "numbers",
        "places",
        "bounds",
        "values",
        "ranks",
    )

    null: NDArray[np.float64]
    null_odds: NDArray[np.float64]
    runs: int
    share: float
    most: int
    places: tuple[int, ...] | None = None
    values: tuple[NDArray[np.float32], ...] = field(default=(), repr=False)
    ranks: tuple[NDArray[np.float32], ...] = field(default=(), repr=False)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it by name, as `Yardstick.of` reads it."""
        none = np.zeros(0, np.float32)
        return {
            "null": self.null,
            "null_odds": self.null_odds,
            "numbers": np.array([self.runs, self.share, self.most, self.places is not None]),
            "places": np.array(self.places or (), np.int64),
            "bounds": np.cumsum([0, *map(len, self.values)]),
            "values": np.concatenate([none, *self.values]),
            "ranks": np.concatenate([none, *self.ranks]),
        }

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Yardstick:
        """A yardstick from its arrays.

        Args:
            arrays: What `arrays` gave.

        Returns:
            The yardstick.
        """
        runs, share, most, ranked = arrays["numbers"].tolist()
        cuts = arrays["bounds"][1:-1]
        split = [tuple(np.split(arrays[name], cuts)) if ranked else () for name in ("values", "ranks")]
        places = tuple(arrays["places"].tolist()) if ranked else None
        if not places:
            split = [(), ()]
        return cls(
            arrays["null"], arrays["null_odds"], int(runs), share, int(most), places, split[0], split[1]
        )

    def ranked_by(self, other: Yardstick) -> Yardstick:
        """The same with the ranks of another one.

        Args:
            other: The other one.

        Returns:
            A yardstick of both.
        """
        return replace(self, places=other.places, values=other.values, ranks=other.ranks)

    def ranked(self, profiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """Columns by the ranks that their values had.

        Args:
            profiles: ``float32[A, D]``.

        Returns:
            ``float32[A, E]``; a value between two that were there has a rank between theirs.
        """
        out = np.zeros((len(profiles), len(self.places or ())), np.float32)
        for at, (place, values, ranks) in enumerate(
            zip(self.places or (), self.values, self.ranks, strict=True)
        ):
            out[:, at] = np.interp(np.nan_to_num(profiles[:, place]), values, ranks)
        return out


def size_of(snapshot: Snapshot) -> dict[str, int]:
    """How large a platform is, as a run notes it.

    Args:
        snapshot: The snapshot.

    Returns:
        Numbers of accounts and of events, of accounts that people judged, and of known groups to learn from.
    """
    judged = snapshot.verdicts["account"].n_unique()
    groups = snapshot.groups.filter(pl.col("role") == "train").select("mapping", "group").n_unique()
    return {
        "accounts": snapshot.n_accounts,
        "events": int(snapshot.end_horizon),
        "judged accounts": judged,
        "known groups": groups,
    }


def code_of_rings() -> str:
    """A hash of the code that finds rings and tells of them, see `graph_etl.code.code_version`."""
    return code_version("graph_etl", "features", "rings")


def why_anew(snapshot: Snapshot, manifest: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """Why a run cannot measure by what an earlier one measured by.

    Args:
        snapshot: The snapshot.
        manifest: Of the earlier run.
        asked: What the two must have in common: seed and how links are weighed.

    Returns:
        The reason in plain words; None if it can.
    """
    base = manifest.get("base")
    if base is None:
        return "the run before kept nothing to measure by"
    if base["spec"] != snapshot.manifest["spec_hash"]:
        return "the spec has changed"
    if base.get("code") != code_of_rings():
        return "the run before is of another version of ringwatch or its libraries"
    for name, value in asked.items():
        if manifest.get(name) != value:
            return f"the run before had another {name}"
    now = size_of(snapshot)
    for name, before in base["size"].items():
        if abs(now[name] - before) > MOST_GROWTH * before:
            return f"{now[name]:,} {name}, where {before:,} were measured: more than {MOST_GROWTH:.0%} apart"
    return None


class CannotBuildOn(RingsError):
    """A run that another one cannot build on.

    Args:
        run: Its id.
        why: The reason.
    """

    def __init__(self, run: str, why: str) -> None:
        super().__init__(
            f"rings run {run} cannot be built on: {why}; find all anew (`ringwatch rings --full`)"
        )
