"""The same GraphSAGE on DGL (Wang et al., 2019): same weights, same results, messages are passed by DGL.

The only module that imports DGL, and only when a network is made. Its last release with published wheels,
1.1.3, is built for Python up to 3.11 and runs here on the processor alone.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from gnn.sage_network import GraphSage
from graph_etl.errors import RingwatchError


class DglMissing(RingwatchError):
    """GraphSAGE should be fitted on DGL, and DGL cannot be had."""

    def __init__(self) -> None:
        super().__init__(
            "DGL is not installed; install the extra with `pip install 'ringwatch[dgl]'` (Python 3.11 on"
            " Linux; there is none for later ones), or leave `--backend dgl` out"
        )


def check_dgl() -> Any:
    """Import DGL.

    Returns:
        The module ``dgl``.

    Raises:
        DglMissing: If it is not installed.
    """
    # Unless told, DGL asks the terminal which framework to use, and writes the answer to the home folder.
    os.environ.setdefault("DGLBACKEND", "pytorch")
    try:
        import dgl
    except ModuleNotFoundError:
        raise DglMissing from None
    return dgl


class DglMean(nn.Module):
    """Mean of the messages that each receiver gets, 0 where there is none; by DGL's message passing."""

    def __init__(self) -> None:
        super().__init__()
        self._dgl = check_dgl()

    def forward(self, sent: Tensor, receiver: Tensor, dim_size: int) -> Tensor:
        """Aggregate.

        Args:
            sent: ``[E, S]``, one row a message.
            receiver: ``[E]`` who gets it.
            dim_size: Number of receivers ``B``.

        Returns:
            ``[B, S]``.
        """
        senders = torch.arange(len(sent), device=receiver.device)
        block = self._dgl.create_block((senders, receiver), num_src_nodes=len(sent), num_dst_nodes=dim_size)
        with block.local_scope():
            block.srcdata["sent"] = sent
            block.update_all(
                self._dgl.function.copy_u("sent", "message"), self._dgl.function.mean("message", "mean")
            )
            mean: Tensor = block.dstdata["mean"]
            return mean


def dgl_network(columns: int, inputs: int, types: int, *sizes: int) -> GraphSage:
    """A member of the same shape and weights whose messages DGL passes.

    Args:
        columns: As of `gnn.sage_network.GraphSage`.
        inputs: Likewise.
        types: Likewise.
        *sizes: Its further widths.

    Returns:
        The network; its weights have the names that those of the other one have.

    Raises:
        DglMissing: If DGL is not installed.
    """
    network = GraphSage(columns, inputs, types, *sizes)
    network.mean = DglMean()
    return network
