"""On DGL the network is the same: outputs, gradients, and what it learns from the same snapshot."""

import builtins
import importlib.util
from types import ModuleType
from typing import Any, Final

import numpy as np
import pytest
import torch

from features import Queries
from gnn import Bundle
from gnn.dgl_network import DglMissing, dgl_network
from gnn.sage import SageInputs, run_sage
from gnn.sage_fit import fit_sage
from gnn.sage_network import GraphSage
from graph_etl import Snapshot

# Published for Python up to 3.11; what is not there is tested to be told.
HAS_DGL: Final = importlib.util.find_spec("dgl") is not None
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)


def both(types: int = 6) -> tuple[GraphSage, GraphSage]:
    torch.manual_seed(3)
    plain = GraphSage(9, 34, types, 12, 8)
    on_dgl = dgl_network(9, 34, types, 12, 8)
    on_dgl.load_state_dict(plain.state_dict())
    return plain.eval(), on_dgl.eval()


def drawn(seed: int, accounts: int, messages: int) -> tuple[torch.Tensor, ...]:
    """Some accounts hear nothing."""
    torch.manual_seed(seed)
    receiver = torch.sort(torch.randint(0, accounts, (messages,)))[0]
    return torch.randn(accounts, 9), torch.randn(messages, 34), torch.randint(0, 6, (messages,)), receiver


if HAS_DGL:

    @pytest.mark.parametrize("messages", [0, 1, 700])
    def test_same_weights_give_the_same_outputs_and_gradients(messages: int) -> None:
        plain, on_dgl = both()
        inputs = drawn(4, 100, messages)
        outputs = [network(*inputs) for network in (plain, on_dgl)]
        torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-5, atol=1e-5)
        embeddings = [network.embed(*inputs) for network in (plain, on_dgl)]
        torch.testing.assert_close(embeddings[0], embeddings[1], rtol=1e-5, atol=1e-5)
        for output in outputs:
            (output * torch.arange(100.0)).mean().backward()
        assert plain.message.weight.grad is not None
        for name, weight in plain.named_parameters():
            other = dict(on_dgl.named_parameters())[name]
            torch.testing.assert_close(weight.grad, other.grad, rtol=1e-4, atol=1e-5)
        assert len(torch.unique(outputs[0])) == 100  # not vacuous

    def test_a_trained_bundle_gives_its_odds_on_dgl(timed_bundle: Bundle, timed_snapshot: Snapshot) -> None:
        """The weights that a bundle keeps, put into the network on DGL, give what scoring computes."""
        sage = timed_bundle.sage
        assert sage is not None
        asked = Queries.for_accounts(timed_snapshot, moment="1d")
        where = SageInputs.of(timed_snapshot, asked, timed_bundle.epochs_for(timed_snapshot))
        from gnn.inputs import inputs as rows_of

        rows = rows_of(timed_snapshot, asked, epochs=where.epochs)
        expected, _ = run_sage(sage, where, asked, rows=rows)
        around = where.gather(asked, sage.encoding, sage.fanouts, latest=True, with_seeds=False)
        there = around.side >= 0
        found = []
        for member in range(sage.members):
            state = {
                name: torch.from_numpy(np.asarray(value[member]))
                for name, value in sage.state.items()
                if name != "row_width" and not name.startswith("encoding.")
            }
            network = dgl_network(
                len(sage.encoding.columns),
                2 * sage.width,
                state["typed.weight"].shape[0],
                len(state["row.bias"]),
                state["typed.weight"].shape[1],
            )
            network.load_state_dict(state)
            with torch.no_grad():
                found.append(
                    network.eval()(
                        torch.from_numpy(sage.encoding.rows(rows)),
                        torch.from_numpy(around.messages[there]),
                        torch.from_numpy(around.side[there].astype(np.int64)),
                        torch.from_numpy(np.flatnonzero(there) // sage.fanouts[0]),
                    ).numpy()
                )
        np.testing.assert_allclose(np.mean(found, axis=0), expected, rtol=1e-4, atol=1e-5)

    def test_it_trains_from_the_same_snapshot(timed_snapshot: Snapshot) -> None:
        """The same seed draws the same batches, so the two fits end close to one another."""
        asked = Queries.for_accounts(timed_snapshot)
        inputs = SageInputs.of(timed_snapshot, asked)
        label = (timed_snapshot.labels() == 1).astype(np.int64)
        odds = []
        for backend in ("pyg", "dgl"):
            sage = fit_sage(inputs, asked, label, np.ones(len(label)), members=1, seed=2, backend=backend)
            odds.append(run_sage(sage, inputs, asked)[0])
        assert np.corrcoef(odds[0], odds[1])[0, 1] > 0.99
        assert odds[1][label == 1].mean() > odds[1][label == 0].mean() + 1.0


def test_without_dgl_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def no_dgl(name: str, *rest: Any, **named: Any) -> ModuleType:
        if name == "dgl":
            raise ModuleNotFoundError(name)
        return real_import(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", no_dgl)
    with pytest.raises(DglMissing, match=r"ringwatch\[dgl\].*Python 3.11"):
        dgl_network(3, 4, 2)
