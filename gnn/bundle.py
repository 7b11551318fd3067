"""A bundle: models, feature schema, calibration, snapshot id and metrics, versioned as one."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from features import profiles
from features.queries import EVENT
from gnn.blend import Blend
from gnn.calibration import Calibration
from gnn.errors import BundleError as BundleError
from gnn.inputs import input_specs
from gnn.sage_kernel import Sage
from gnn.sampler import input_width, n_message_types
from gnn.shapley import TreeShapley
from gnn.spectral import Coordinates
from gnn.tree_walk import Trees, read_trees
from rings import Epoch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from graph_etl import Snapshot, Workspace

_FORMAT: Final = 2
_QUANTILES: Final = 1001
_TODAY: Final = "retrospective"


@dataclass(frozen=True)
class Head:
    """What scores one moment.

    Attributes:
        moment: Its name.
        booster: The trees; None on a platform's first day.
        blend: How GraphSAGE joins.
        calibration: From margin to score.
        contact: Whether contact with known bad accounts is an input.
        spectral: Whether coordinates among accounts that deal with each other are inputs.
        calibrated: Whether its scores are probabilities: fitted on held-out verdicts of both kinds.
    """

    moment: str
    booster: Trees | None
    blend: Blend
    calibration: Calibration
    contact: bool
    calibrated: bool = False
    spectral: bool = False

    @cached_property
    def shapley(self) -> TreeShapley | None:
        """What explains the trees, made once; None without trees."""
        return None if self.booster is None else TreeShapley.of(self.booster)


class Bundle:
    """A trained bundle, opened from its folder.

    Attributes:
        path: Its folder.
        manifest: All that is known of it, as JSON.
        version: Its name: a hash of its models and of the snapshot that they were fitted on.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.version: str = manifest["version"]

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Open a bundle.

        Args:
            path: Its folder.

        Returns:
            The bundle.

        Raises:
            BundleError: If the folder holds none, or one of another format.
        """
        folder = Path(path)
        try:
            manifest = json.loads((folder / "manifest.json").read_text())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            message = f"{folder}: no bundle there; make one with `ringwatch train`"
            raise BundleError(message) from None
        if manifest.get("format") != _FORMAT:
            message = (
                f"{folder}: bundle format {manifest.get('format')}, this version reads {_FORMAT}; "
                "run `ringwatch train` again"
            )
            raise BundleError(message)
        return cls(folder, manifest)

    @property
    def moments(self) -> tuple[str, ...]:
        """Moments that have a head."""
        return tuple(self.manifest["moments"])

    @property
    def main_moment(self) -> str:
        """The moment of `scores`, and of all that nobody asks at a moment of its own: see `main_moment`."""
        return main_moment(self.moments)

    @property
    def calibrated(self) -> bool:
        """Whether the scores of the main moment are probabilities; of another one, see its head."""
        return bool(self.manifest["calibrated"])

    @cached_property
    def heads(self) -> dict[str, Head]:
        """The heads by moment, all that scoring and explaining needs of them in memory.

        Raises:
            BundleError: If trees are missing or cannot be read.
        """
        found: dict[str, Head] = {}
        for moment, entry in self.manifest["heads"].items():
            booster = None
            if entry["trees"] is not None:
                path = self.path / entry["trees"]
                if not path.exists():
                    raise BundleError(_missing(path))
                booster = read_trees(path.read_text(), str(path))
            head = Head(
                moment,
                booster,
                Blend(**entry["blend"]),
                Calibration(**entry["calibration"]),
                entry["contact"],
                # Bundles of before tell it of all their heads at once.
                entry.get("calibrated", self.manifest["calibrated"]),
                entry.get("spectral", False),
            )
            _ = head.shapley  # now, and not at the first request that asks why
            found[moment] = head
        return found

    @cached_property
    def sage(self) -> Sage | None:
        """GraphSAGE, or None on a platform's first day.

        Raises:
            BundleError: If its weights are missing or cannot be read.
        """
        if self.manifest["graph_sage"] is None:
            return None
        path = self.path / "sage.npz"
        try:
            with np.load(path) as stored:
                return Sage.of(dict(stored))
        except FileNotFoundError:
            raise BundleError(_missing(path)) from None
        except (KeyError, ValueError, OSError, zipfile.BadZipFile):
            message = f"{path}: damaged, GraphSAGE's weights cannot be read; run `ringwatch train` again"
            raise BundleError(message) from None

    @cached_property
    def epochs(self) -> tuple[Epoch, ...]:
        """Communities and neighbourhoods at some horizons, by the account numbers of the bundle's snapshot.

        Raises:
            BundleError: If they are missing or cannot be read.
        """
        path = self.path / "epochs.npz"
        try:
            with np.load(path) as stored:
                return tuple(
                    Epoch.of({name: stored[f"{number}.{name}"] for name in Epoch.ARRAYS})
                    for number in range(self.manifest["epochs"])
                )
        except FileNotFoundError:
            raise BundleError(_missing(path)) from None
        except (KeyError, ValueError, OSError, zipfile.BadZipFile):
            message = f"{path}: damaged, communities cannot be read; run `ringwatch train` again"
            raise BundleError(message) from None

    def epochs_for(self, snapshot: Snapshot) -> tuple[Epoch, ...]:
        """The epochs by the account numbers of a snapshot.

        Args:
            snapshot: The bundle's own, a later one of the same platform, or another one with the schema.

        Returns:
            The epochs; accounts that the snapshot does not hold are gone from them.
        """
        if snapshot.id == self.manifest["snapshot"]:
            return self.epochs
        now = self._now(snapshot)
        # A snapshot built anew may hold fewer rows; its end is then where the bundle's last epoch stands.
        return tuple(
            replace(moved, horizon=min(moved.horizon, int(snapshot.end_horizon)))
            for moved in (epoch.renumbered(now, snapshot.n_accounts) for epoch in self.epochs)
        )

    @cached_property
    def coordinates(self) -> Coordinates | None:
        """Coordinates by the account numbers of the bundle's snapshot; None where no head uses them.

        Raises:
            BundleError: If they are missing or cannot be read.
        """
        if not any(head.spectral for head in self.heads.values()):
            return None
        path = self.path / "coordinates.npz"
        try:
            with np.load(path) as stored:
                return Coordinates.of({name: stored[name] for name in Coordinates.ARRAYS})
        except FileNotFoundError:
            raise BundleError(_missing(path)) from None
        except (KeyError, ValueError, OSError, zipfile.BadZipFile):
            message = f"{path}: damaged, coordinates cannot be read; run `ringwatch train` again"
            raise BundleError(message) from None

    def coordinates_for(self, snapshot: Snapshot) -> Coordinates | None:
        """The coordinates by the account numbers of a snapshot.

        Args:
            snapshot: See `epochs_for`.

        Returns:
            The coordinates, None where no head uses them; accounts that the snapshot does not hold are gone.
        """
        if self.coordinates is None or snapshot.id == self.manifest["snapshot"]:
            return self.coordinates
        moved = self.coordinates.renumbered(self._now(snapshot), snapshot.n_accounts)
        return replace(moved, horizon=min(moved.horizon, int(snapshot.end_horizon)))

    def _now(self, snapshot: Snapshot) -> NDArray[np.int64]:
        """The index in a snapshot of each account of the bundle's own, -1 where it is gone."""
        here = pl.DataFrame({"account_id": snapshot.account_ids.to_list()}).with_row_index("now")
        place = self.scores.select("account", "account_id").join(here, on="account_id", how="left")
        return place.sort("account")["now"].cast(pl.Int64).fill_null(-1).to_numpy()

    @cached_property
    def scores(self) -> pl.DataFrame:
        """Columns account, account_id, score, percentile, oof_score (null where never held out)."""
        return pl.read_parquet(self.path / "scores.parquet")

    def quantiles(self, moment: str) -> NDArray[np.float64]:
        """Scores of all accounts at a moment, at 1001 evenly spaced quantiles."""
        with np.load(self.path / "quantiles.npz") as stored:
            return np.asarray(stored[moment])


@dataclass(slots=True)
class BundleDraft:
    """A bundle being put together by training.

    Attributes:
        snapshot: What it is fitted on.
        seed: Of the training.
        supervision: See `gnn.targets.Targets`.
        n_folds: Number of folds that held accounts out.
        epochs: Communities and neighbourhoods that scoring reads, the earliest first.
        model: Which trees.
        metrics: Held-out figures by moment.
        baselines: Those of the baselines by moment.
        sage: GraphSAGE fitted on all labels.
        coordinates: Coordinates of accounts, where a head uses them.
        left_out: What was not tried for lack of time.
    """

    snapshot: Snapshot
    seed: int
    supervision: str
    n_folds: int
    epochs: tuple[Epoch, ...]
    model: str
    metrics: dict[str, Any] = field(default_factory=dict)
    baselines: dict[str, Any] = field(default_factory=dict)
    sage: Sage | None = None
    coordinates: Coordinates | None = None
    left_out: list[str] = field(default_factory=list)
    _heads: list[Head] = field(default_factory=list)
    _scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    _held_out: dict[str, NDArray[np.float64] | None] = field(default_factory=dict)

    def add(self, head: Head, margin: NDArray[np.float64], held_out: NDArray[np.float64] | None) -> None:
        """Add a head with the margins of all accounts and their held-out scores.

        Args:
            head: The head.
            margin: ``float64[A]``.
            held_out: ``float64[A]`` scores, NaN where never held out; None where nothing was.
        """
        self._heads.append(head)
        self._scores[head.moment] = head.calibration(margin)
        self._held_out[head.moment] = held_out

    def write(self, workspace: Workspace, *, publish: bool) -> Bundle:
        """Write the bundle.

        Args:
            workspace: Where it goes.
            publish: Whether it becomes the current one.

        Returns:
            The bundle, opened.
        """
        texts = {head.moment: head.booster.text for head in self._heads if head.booster}
        manifest = self._manifest(texts)
        version = "b" + self._digest(manifest, texts)[:10]
        manifest["version"] = version
        main = main_moment(list(self._scores))
        score = self._scores[main]
        held_out = self._held_out[main]
        with workspace.new_folder("bundle", version) as folder:
            for number, head in enumerate(self._heads):
                if head.moment in texts:
                    (folder / f"trees_{number}.txt").write_text(texts[head.moment])
            if self.sage is not None:
                np.savez(folder / "sage.npz", **self.sage.state)  # type: ignore[arg-type]
            arrays = {f"{number}.{name}": array for number, name, array in self._epoch_arrays()}
            np.savez(folder / "epochs.npz", **arrays)  # type: ignore[arg-type]
            if self.coordinates is not None:
                np.savez(folder / "coordinates.npz", **self.coordinates.arrays)  # type: ignore[arg-type]
            points = np.linspace(0.0, 1.0, _QUANTILES)
            np.savez(
                folder / "quantiles.npz",
                **{moment: np.quantile(values, points) for moment, values in self._scores.items()},  # type: ignore[arg-type]
            )
            pl.DataFrame(
                {
                    "account": np.arange(self.snapshot.n_accounts, dtype=np.int32),
                    "account_id": self.snapshot.account_ids.to_list(),
                    "score": score,
                    "percentile": percentile_of(np.quantile(score, points), score),
                    "oof_score": np.full(len(score), np.nan) if held_out is None else held_out,
                }
            ).with_columns(pl.col("oof_score").fill_nan(None)).write_parquet(folder / "scores.parquet")
            (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
        if publish:
            workspace.set_current("bundle", version)
        return Bundle.open(workspace.path_of("bundle", version))

    def _calibrated(self, moment: str) -> bool:
        """Whether held-out verdicts of both kinds were there to calibrate a head on."""
        return self.supervision == "supervised" and bool(self.metrics.get(moment))

    def _manifest(self, texts: dict[str, str]) -> dict[str, Any]:
        width = profiles(self.snapshot, np.zeros(0, np.int64)).shape[1]
        return {
            "format": _FORMAT,
            "snapshot": self.snapshot.id,
            "content_hash": self.snapshot.manifest["content_hash"],
            "name": self.snapshot.manifest["name"],
            "simulated": self.snapshot.manifest["simulated"],
            "supervision": self.supervision,
            "calibrated": self._calibrated(main_moment(list(self._scores))),
            "seed": self.seed,
            "model": self.model,
            "left_out": self.left_out,
            "folds": self.n_folds,
            "epochs": len(self.epochs),
            "moments": [head.moment for head in self._heads],
            "features": [spec.name for spec in input_specs(self.snapshot, with_contact=False)],
            "graph_sage": None
            if self.sage is None
            else {
                "width": input_width(width),
                "types": n_message_types(self.snapshot),
                "told_of_verdicts": bool(self.sage.told),
            },
            "heads": {
                head.moment: {
                    "trees": f"trees_{number}.txt" if head.moment in texts else None,
                    "blend": head.blend.as_dict(),
                    "calibration": head.calibration.as_dict(),
                    "contact": head.contact,
                    "spectral": head.spectral,
                    "calibrated": self._calibrated(head.moment),
                }
                for number, head in enumerate(self._heads)
            },
            "metrics": self.metrics,
            "baselines": self.baselines,
        }

    def _epoch_arrays(self) -> Iterator[tuple[int, str, NDArray[Any]]]:
        for number, epoch in enumerate(self.epochs):
            for name, array in epoch.arrays.items():
                yield number, name, array

    def _digest(self, manifest: dict[str, Any], texts: dict[str, str]) -> str:
        digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode())
        for moment in sorted(texts):
            digest.update(texts[moment].encode())
        if self.sage is not None:
            for name in sorted(self.sage.state):
                digest.update(self.sage.state[name].tobytes())
        for _, _, array in self._epoch_arrays():
            digest.update(array.tobytes())
        if self.coordinates is not None:
            for array in self.coordinates.arrays.values():
                digest.update(array.tobytes())
        return digest.hexdigest()


def main_moment(moments: Sequence[str]) -> str:
    """The moment that stands for an account as it is today: what exports, rings and plots tell.

    Args:
        moments: At least one, in the order of the spec.

    Returns:
        ``retrospective``; without it the last one that is no head for events.
    """
    if _TODAY in moments:
        return _TODAY
    of_age = [moment for moment in moments if moment != EVENT]
    return (of_age or list(moments))[-1]


def percentile_of(quantiles: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of accounts with a lower score, in per cent.

    Args:
        quantiles: ``float64[1001]`` at evenly spaced quantiles.
        score: ``float64[n]``.

    Returns:
        ``float64[n]`` from 0 to 100.
    """
    return quantiles.searchsorted(score) / (len(quantiles) - 1) * 100.0 if len(score) else score


def _missing(path: Path) -> str:
    return f"{path}: missing from the bundle; run `ringwatch train` again"
