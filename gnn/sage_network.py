"""GraphSAGE (Hamilton et al., 2017) as PyTorch Geometric fits it; formulas in `gnn.sage_kernel`.

Needs nothing but PyTorch and PyTorch Geometric: a machine that has these can time it.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch_geometric.nn import MeanAggregation

_HIDDEN: Final = 64
_SENT: Final = 32
DROPOUT: Final = 0.2
_INPUT_DROPOUT: Final = 0.1


class GraphSage(nn.Module):
    """One member; formulas in `gnn.sage_kernel`.

    Args:
        columns: Width ``C`` of the accounts' encoded rows.
        inputs: Width ``D`` of a message's inputs.
        types: Number of message types ``R``.
        hidden: Width ``H`` of the hidden layer and of the embedding.
        sent: Width of a message.
        dropout: Share of hidden values, and of neighbours, left out in training.
    """

    def __init__(
        self,
        columns: int,
        inputs: int,
        types: int,
        hidden: int = _HIDDEN,
        sent: int = _SENT,
        dropout: float = DROPOUT,
    ) -> None:
        super().__init__()
        self.row = nn.Linear(columns, hidden)
        self.message = nn.Linear(inputs, sent)
        self.typed = nn.Embedding(types, sent)
        nn.init.normal_(self.typed.weight, std=0.1)
        self.mean = MeanAggregation()
        self.gathered_norm = nn.LayerNorm(sent + 1)
        self.gathered = nn.Linear(sent + 1, hidden, bias=False)
        self.first_norm = nn.LayerNorm(hidden)
        self.block = nn.Linear(hidden, hidden)
        self.last_norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, 1)
        self.drop_inputs = nn.Dropout(_INPUT_DROPOUT)
        self.drop = nn.Dropout(dropout)

    def embed(self, rows: Tensor, messages: Tensor, side: Tensor, receiver: Tensor) -> Tensor:
        """Embeddings of accounts.

        Args:
            rows: ``[B, C]``.
            messages: ``[E, D]`` inputs of the neighbours that are there.
            side: ``[E]`` their message types.
            receiver: ``[E]`` the row that each one is a neighbour of, rising.

        Returns:
            ``[B, H]``.
        """
        sent = torch.relu(self.message(messages) + self.typed(side))
        mean = self.mean(sent, receiver, dim_size=len(rows))
        count = torch.bincount(receiver, minlength=len(rows)).to(rows.dtype)
        gathered = self.gathered_norm(torch.cat([mean, torch.log1p(count).unsqueeze(1)], 1))
        state = self.row(self.drop_inputs(rows)) + self.gathered(self.drop(gathered))
        state = self.drop(torch.relu(self.first_norm(state)))
        embedding: Tensor = self.last_norm(state + self.drop(torch.relu(self.block(state))))
        return embedding

    def forward(self, rows: Tensor, messages: Tensor, side: Tensor, receiver: Tensor) -> Tensor:
        """Log odds ``[B]``; arguments as in `embed`."""
        odds: Tensor = self.head(self.embed(rows, messages, side, receiver))
        return odds.squeeze(-1)
