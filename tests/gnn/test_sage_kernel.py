"""The compiled forward pass is that of PyTorch; an embedding never depends on who else is asked."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from features import Queries
from gnn import Bundle, BundleError
from gnn.sage import SageInputs, run_sage
from gnn.sage_fit import GraphSage
from gnn.sage_kernel import Sage
from gnn.sampler import Sample
from graph_etl import Snapshot

WIDTH, TYPES, HIDDEN = 17, 6, 12
FANOUTS = (5, 3)


def torch_forward(sage: Sage, drawn: Sample) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The module that training fits, with the same weights, on the same sample."""
    types = sum(name.startswith("messages1.") for name in sage.state)
    model = GraphSage(sage.width, types, sage.hidden, sage.fanouts)
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in sage.state.items()})
    parts = [
        torch.from_numpy(part)
        for part in (drawn.seed_x, drawn.hop1_x, drawn.hop2_x, drawn.hop1_side, drawn.hop2_side)
    ]
    with torch.no_grad():
        return model.eval()(*parts).numpy(), model.embed(*parts).numpy()


def random_sample(rng: np.random.Generator, size: int, missing: float) -> Sample:
    """Two hops of random nodes; what hangs from a node that is not there is not there either."""
    one, two = FANOUTS
    side1 = rng.integers(0, TYPES, size=size * one).astype(np.int16)
    side1[rng.random(len(side1)) < missing] = -1
    side2 = rng.integers(0, TYPES, size=size * one * two).astype(np.int16)
    side2[rng.random(len(side2)) < missing] = -1
    side2[np.repeat(side1, two) < 0] = -1

    def nodes(count: int) -> NDArray[np.float32]:
        x = rng.normal(size=(count, WIDTH))
        x[rng.random(x.shape) < 0.5] = 0.0
        return x.astype(np.float32)

    return Sample(nodes(size), nodes(size * one), nodes(size * one * two), side1, side2)


@pytest.mark.parametrize("missing", [0.0, 0.4, 1.0])
def test_random_weights_give_what_torch_gives(missing: float) -> None:
    torch.manual_seed(2)
    rng = np.random.default_rng(2)
    model = GraphSage(WIDTH, TYPES, HIDDEN, FANOUTS)
    model.standardise(torch.from_numpy(rng.normal(1.0, 3.0, size=(500, WIDTH)).astype(np.float32)))
    drawn = random_sample(rng, 200, missing)
    sage = model.fitted()
    odds, embedding = sage.forward(drawn)
    expected_odds, expected = torch_forward(sage, drawn)
    np.testing.assert_allclose(embedding, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(odds, expected_odds, rtol=1e-5, atol=1e-5)
    assert len(np.unique(expected_odds)) == 200  # not vacuous


def test_a_trained_model_gives_what_torch_gives(timed_bundle: Bundle, timed_snapshot: Snapshot) -> None:
    sage = timed_bundle.sage
    assert sage is not None
    asked = Queries.for_accounts(timed_snapshot, moment="1d")
    inputs = SageInputs.of(timed_snapshot, asked)
    odds, embedding = run_sage(sage, inputs, asked)
    expected_odds, expected = torch_forward(sage, inputs.draw(asked, sage.fanouts, latest=True))
    np.testing.assert_allclose(embedding, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(odds, expected_odds, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("moment", ["signup", "retrospective"])
def test_an_account_is_embedded_alike_alone_and_among_others(
    moment: str, timed_bundle: Bundle, timed_snapshot: Snapshot
) -> None:
    sage = timed_bundle.sage
    assert sage is not None
    everyone = Queries.for_accounts(timed_snapshot, moment=moment)
    odds, embedding = run_sage(sage, SageInputs.of(timed_snapshot, everyone), everyone)
    for account in (0, 7, 99, 280):
        alone = everyone.take(np.array([account]))
        one, own = run_sage(sage, SageInputs.of(timed_snapshot, alone), alone)
        np.testing.assert_array_equal(one, odds[account : account + 1])
        np.testing.assert_array_equal(own, embedding[account : account + 1])


def test_a_new_account_is_embedded_by_what_it_brings(timed_bundle: Bundle, timed_snapshot: Snapshot) -> None:
    sage = timed_bundle.sage
    assert sage is not None
    known = next(number for number, kind in enumerate(timed_snapshot.kinds) if kind.name == "device")
    device = timed_snapshot.node_keys[int(np.flatnonzero(np.asarray(timed_snapshot.node_kind) == known)[0])]
    end_ms = int(np.asarray(timed_snapshot.event_time_ms).max())

    def embedded(identifiers: list[tuple[str, str]]) -> NDArray[np.float32]:
        asked = Queries.for_event(timed_snapshot, "nobody", time_ms=end_ms + 1, identifiers=identifiers)
        assert asked.account[0] == -1
        found: NDArray[np.float32] = run_sage(sage, SageInputs.of(timed_snapshot, asked), asked)[1][0]
        return found

    alone, met, unseen = embedded([]), embedded([("device", device)]), embedded([("device", "unseen")])
    assert np.isfinite(np.stack([alone, met, unseen])).all()
    assert (met != alone).any()
    assert (met != unseen).any()


def test_bundles_with_the_older_file_of_weights_open(timed_bundle: Bundle, tmp_path: Path) -> None:
    assert timed_bundle.sage is not None
    shutil.copytree(timed_bundle.path, tmp_path / "older")
    (tmp_path / "older" / "sage.npz").unlink()
    state = {name: torch.from_numpy(value) for name, value in timed_bundle.sage.state.items()}
    torch.save(state, tmp_path / "older" / "sage.pt")
    older = Bundle.open(tmp_path / "older").sage
    assert older is not None
    assert older.state.keys() == timed_bundle.sage.state.keys()
    for name, value in older.state.items():
        np.testing.assert_array_equal(value, timed_bundle.sage.state[name])


@pytest.mark.parametrize(("content", "told"), [(None, "missing from the bundle"), (b"torn", "damaged")])
def test_weights_that_cannot_be_read_are_told(
    content: bytes | None, told: str, timed_bundle: Bundle, tmp_path: Path
) -> None:
    shutil.copytree(timed_bundle.path, tmp_path / "copy")
    (tmp_path / "copy" / "sage.npz").unlink()
    if content is not None:
        (tmp_path / "copy" / "sage.npz").write_bytes(content)
    with pytest.raises(BundleError, match=f"sage.npz: {told}"):
        _ = Bundle.open(tmp_path / "copy").sage
