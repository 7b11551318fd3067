"""The compiled forward pass is that of PyTorch; an embedding never depends on who else is asked."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from features import Queries
from gnn import Bundle, BundleError
from gnn.inputs import inputs as rows_of
from gnn.sage import SageInputs, run_sage
from gnn.sage_encoding import encoding_of, stack
from gnn.sage_kernel import Sage
from gnn.sage_network import GraphSage
from gnn.sampler import Sample
from graph_etl import Snapshot

COLUMNS, WIDTH, TYPES, HIDDEN, SENT = 9, 17, 6, 12, 8
FANOUTS = (5, 3)


def torch_forward(
    sage: Sage, drawn: Sample, rows: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The modules that training fits, with the same weights, on the same sample."""
    encoded = torch.from_numpy(sage.encoding.rows(rows))
    there = drawn.hop1_side >= 0
    messages = torch.from_numpy(sage.encoding.messages(drawn)[there])
    side = torch.from_numpy(drawn.hop1_side[there].astype(np.int64))
    receiver = torch.from_numpy(np.flatnonzero(there) // sage.fanouts[0])
    odds, embeddings = [], []
    for member in range(sage.members):
        state = {
            name: torch.from_numpy(np.asarray(value[member]))
            for name, value in sage.state.items()
            if name != "row_width" and not name.startswith("encoding.")
        }
        types, sent = state["typed.weight"].shape
        hidden = len(state["row.bias"])
        model = GraphSage(encoded.shape[1], messages.shape[1], types, hidden, sent)
        model.load_state_dict(state)
        with torch.no_grad():
            odds.append(model.eval()(encoded, messages, side, receiver).numpy())
            embeddings.append(model.embed(encoded, messages, side, receiver).numpy())
    return np.mean(odds, axis=0), np.concatenate(embeddings, axis=1)


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
@pytest.mark.parametrize("members", [1, 3])
def test_random_weights_give_what_torch_gives(missing: float, members: int) -> None:
    torch.manual_seed(2)
    rng = np.random.default_rng(2)
    rows = rng.lognormal(size=(200, COLUMNS)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    encoding = encoding_of(rows, rng.normal(1.0, 3.0, size=(500, WIDTH)).astype(np.float32))
    networks = [GraphSage(COLUMNS, 2 * WIDTH, TYPES, HIDDEN, SENT) for _ in range(members)]
    drawn = random_sample(rng, 200, missing)
    sage = stack([one.state_dict() for one in networks], encoding, COLUMNS, FANOUTS)
    odds, embedding = sage.forward(drawn, rows)
    expected_odds, expected = torch_forward(sage, drawn, rows)
    np.testing.assert_allclose(embedding, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(odds, expected_odds, rtol=1e-4, atol=1e-5)
    assert embedding.shape == (200, members * HIDDEN)
    assert len(np.unique(expected_odds)) == 200  # not vacuous


def test_a_trained_model_gives_what_torch_gives(timed_bundle: Bundle, timed_snapshot: Snapshot) -> None:
    sage = timed_bundle.sage
    assert sage is not None
    asked = Queries.for_accounts(timed_snapshot, moment="1d")
    inputs = SageInputs.of(timed_snapshot, asked)
    odds, embedding = run_sage(sage, inputs, asked)
    drawn = inputs.draw(asked, sage.fanouts, latest=True)
    rows = rows_of(timed_snapshot, asked) if sage.row_width else drawn.seed_x
    expected_odds, expected = torch_forward(sage, drawn, rows)
    np.testing.assert_allclose(embedding, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(odds, expected_odds, rtol=1e-4, atol=1e-5)


def test_rows_become_normal_scores() -> None:
    """Ties share the middle rank, NaN is the middle, beyond the ends it is flat, between straight."""
    values = np.array([0, 0, 0, 1, 10], np.float32)
    rows = np.stack([values, np.full(5, 7, np.float32)], axis=1)
    encoding = encoding_of(rows, np.zeros((0, 3), np.float32))
    np.testing.assert_array_equal(encoding.columns, [0])  # the other one never differs
    found = encoding.rows(np.array([[0, 7], [1, 7], [10, 7], [np.nan, 7], [-5, 7], [99, 7], [5.5, 7]], "f4"))
    # Ranks (1.5, 3.5, 4.5) / 5 are normal scores -.524, .524, 1.282, then mean 0 and spread 1.
    raw = np.array([-0.5244005, -0.5244005, -0.5244005, 0.5244005, 1.2815516])
    scores = (raw - raw.mean()) / raw.std()
    np.testing.assert_allclose(found[:3, 0], scores[2:], rtol=1e-5)
    assert found[3, 0] == 0.0
    assert found[4, 0] == found[0, 0]
    assert found[5, 0] == found[2, 0]
    np.testing.assert_allclose(found[6, 0], (scores[3] + scores[4]) / 2, rtol=1e-5)


def test_messages_hold_a_node_and_the_mean_of_its_neighbours() -> None:
    rng = np.random.default_rng(4)
    drawn = random_sample(rng, 40, 0.3)
    encoding = encoding_of(np.zeros((3, 1), np.float32), rng.normal(size=(99, WIDTH)).astype(np.float32))
    found = encoding.messages(drawn)
    at = int(np.flatnonzero((drawn.hop1_side >= 0) & (drawn.hop2_side.reshape(-1, 3) >= 0).any(1))[0])
    near = drawn.hop2_x.reshape(-1, 3, WIDTH)[at][drawn.hop2_side.reshape(-1, 3)[at] >= 0].mean(0)
    np.testing.assert_allclose(found[at, :WIDTH], (drawn.hop1_x[at] - encoding.mean) / encoding.scale, 1e-4)
    np.testing.assert_allclose(found[at, WIDTH:], (near - encoding.mean) / encoding.scale, 1e-4, 1e-6)
    assert (found[drawn.hop1_side < 0] == 0.0).all()


def test_rows_of_another_width_are_refused() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(20, COLUMNS)).astype(np.float32)
    encoding = encoding_of(rows, np.zeros((0, WIDTH), np.float32))
    sage = stack([GraphSage(COLUMNS, 2 * WIDTH, TYPES).state_dict()], encoding, COLUMNS, FANOUTS)
    drawn = random_sample(rng, 20, 0.2)
    with pytest.raises(ValueError, match="rows of 9 columns, the rows have 8"):
        sage.forward(drawn, rows[:, 1:])
    with pytest.raises(ValueError, match="rows of 9 columns, the rows have 0"):
        sage.forward(drawn)


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


def test_weights_of_an_older_graphsage_are_told(timed_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(timed_bundle.path, tmp_path / "older")
    older = {"root1.weight": np.zeros((2, 2), np.float32)}
    np.savez(tmp_path / "older" / "sage.npz", **older)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="an older GraphSAGE; run `ringwatch train` again"):
        _ = Bundle.open(tmp_path / "older").sage


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
