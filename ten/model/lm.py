"""The language model: tokens to hidden states, to logits, to a summed loss; and the carry between calls (torch)."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ten.model.block import Block, normalisation
from ten.model.documents import Documents, documents, steps_in_document
from ten.model.loss import linear_cross_entropy
from ten.model.mixer import LayerCarry
from ten.model.presets import ModelConfig, padded_vocabulary
from ten.model.recompute import recomputed

_EMBEDDING_STD = 0.02
Recompute = Literal["nothing", "cheap", "blocks"]
"""Nothing; within each block all but the large matrix products; all of each block."""
_NO_DECAY = ("taps", "coupling", "embedding.weight", "positions.weight")


@dataclass(frozen=True)
class Carry:
    """All that a later call needs of the earlier ones, however long they were. Made and read by `LanguageModel`."""

    layers: tuple[LayerCarry, ...]
    position: Tensor | None
    """(B,) int64: tokens of the open document so far; None in a model without positions."""

    def detach(self) -> "Carry":
        """The same values, cut from the graph: gradients do not reach the calls that made them."""
        layers = tuple(LayerCarry(layer.state.detach(), layer.taps.detach()) for layer in self.layers)
        return Carry(layers, self.position)


class LanguageModel(nn.Module):
    """Embedding, blocks, norm, and a head tied to the embedding.

    Documents: `starts` marks tokens that open one; nothing passes from a document to the next. A call without a
    carry begins with nothing remembered, so its first tokens count as opening one. Feeding a sequence in any split,
    handing the carry on, equals feeding it at once.

    The embedding is padded to `padded_vocabulary(vocabulary)` rows for the matrix units; the padding never gets
    probability: `logits` leaves it out and `loss` masks it. `z_loss` is for the gradient of `loss`
    (`linear_cross_entropy` defines it).
    """

    def __init__(self, config: ModelConfig, vocabulary: int, *, z_loss: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.recompute: Recompute = "nothing"
        """What the backward pass computes again; may be set at any time, and changes no result."""
        self.z_loss = z_loss
        self.embedding = nn.Embedding(padded_vocabulary(vocabulary), config.width)
        self.positions = nn.Embedding(config.positions, config.width) if config.positions else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = normalisation(config)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The tables; blocks have initialised themselves."""
        nn.init.normal_(self.embedding.weight, std=_EMBEDDING_STD)
        if self.positions is not None:
            nn.init.normal_(self.positions.weight, std=_EMBEDDING_STD)

    def forward(self, tokens: Tensor, starts: Tensor | None = None, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """tokens (B, T) int64, starts (B, T) bool → hidden (B, T, D) and the carry after the last token."""
        if carry is None:
            starts = _opened(tokens, starts)
        x, position = self._embed(tokens, starts, carry)
        within = None if starts is None else documents(starts, self.config.convolution)
        layers = []
        for i, block in enumerate(self.blocks):
            x, layer = self._run(block, x, within, None if carry is None else carry.layers[i])
            layers.append(layer)
        return self.norm(x), Carry(tuple(layers), position)

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden (..., D) → (..., V) float32, without the padding."""
        # the whole table, and the padding cut off its product: of a part autocast would make a new copy in each call
        return F.linear(hidden, self.embedding.weight)[..., : self.vocabulary].float()

    def loss(self, tokens: Tensor, starts: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        """Summed cross-entropy, in nats, of predicting tokens[:, 1:]: a float32 scalar; divide by the tokens it covers.

        tokens (B, T + 1) int64; starts (B, T) bool for the first T tokens; weights (B, T) multiply the losses of the
        predicted tokens (0 leaves one out). The logits are never held at once.
        """
        return self.loss_and_carry(tokens, starts, weights)[0]

    def loss_and_carry(
        self, tokens: Tensor, starts: Tensor | None = None, weights: Tensor | None = None, carry: Carry | None = None
    ) -> tuple[Tensor, Carry]:
        """`loss` of tokens that go on where `carry` ends, and the carry after the T tokens that were read."""
        hidden, carry = self(tokens[:, :-1], starts, carry)
        torch.clear_autocast_cache()  # narrow copies of weights that the graph does not keep: the loss needs the room
        flat = None if weights is None else weights.flatten()
        return self.head_loss(hidden.flatten(0, 1), tokens[:, 1:].flatten(), flat), carry

    def head_loss(self, hidden: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """What `loss` is from the hidden states on: hidden (N, D), targets (N,) int64, weights (N,) → a scalar."""
        return linear_cross_entropy(
            hidden,
            self.embedding.weight,
            targets,
            vocabulary=self.vocabulary,
            token_weights=weights,
            z_loss=self.z_loss,
        )

    def no_decay_names(self) -> set[str]:
        """Parameters that take no weight decay: those for which zero is not the modest choice.

        Eigenvalues, norms and biases (one axis), convolution taps and coupling (their rest is the identity), and the
        embedding and position tables (decay would shrink rare tokens in steps that do not see them).
        """
        return {name for name, p in self.named_parameters() if p.dim() < 2 or name.endswith(_NO_DECAY)}

    def _embed(self, tokens: Tensor, starts: Tensor | None, carry: Carry | None) -> tuple[Tensor, Tensor | None]:
        x = self.embedding(tokens)
        if self.positions is None:
            return x, None
        before = tokens.new_zeros(len(tokens)) if carry is None or carry.position is None else carry.position
        steps = steps_in_document(starts, tokens.shape[1], before)
        # past the end of the table every token takes its last row: a document longer than trained for still runs
        x = x + self.positions(steps.clamp_max(self.config.positions - 1))
        return x, steps[:, -1] + 1 if tokens.shape[1] else before

    def _run(
        self, block: nn.Module, x: Tensor, within: Documents | None, carry: LayerCarry | None
    ) -> tuple[Tensor, LayerCarry]:
        cheap = self.recompute == "cheap"
        if self.recompute == "blocks":
            result: tuple[Tensor, LayerCarry] = recomputed(block, x, within, carry, cheap)
        else:
            result = block(x, within, carry, cheap)
        return result


def _opened(tokens: Tensor, starts: Tensor | None) -> Tensor:
    """`starts` with the first token of every row set."""
    first = torch.arange(tokens.shape[1], device=tokens.device) == 0
    return first.expand(tokens.shape) if starts is None else starts | first
