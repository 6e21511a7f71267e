"""Held-out loss by context: how much better a model predicts the more of a document it has read (torch)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ten.errors import DataError
from ten.model.documents import steps_in_document
from ten.model.loss import linear_cross_entropy
from ten.train.backward import Autocast
from ten.train.context import ContextLoss, bucket_edges
from ten.train.distributed import World
from ten.train.evaluate import summed

if TYPE_CHECKING:
    from ten.data.held_out import HeldOut
    from ten.model.lm import LanguageModel


def loss_by_context(
    model: LanguageModel,
    held_out: HeldOut,
    *,
    seq_len: int,
    world: World,
    autocast: Autocast,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[ContextLoss, ...] | None:
    """The loss over `held_out` in up to eight buckets, each of twice the context of the one before; together all of it.

    One pass, in rows of `seq_len` tokens; every token meets the head once. None when a rank was asked to stop.
    """
    if not held_out.text_bytes:
        raise DataError("the held-out text is empty; give a data set with a validation split or more documents")
    edges = bucket_edges(seq_len)
    count = len(edges) - 1
    measure = partial(_bucket_sums, model, edges, autocast)
    sums = summed(model, held_out, measure, 2 * count, world=world, stop=stop)
    if sums is None:
        return None
    return tuple(
        ContextLoss(
            begin=begin,
            end=end,
            tokens=round(tokens),
            bits_per_token=nats / (tokens * math.log(2)) if tokens else None,
        )
        for (begin, end), nats, tokens in zip(pairwise(edges), sums[:count], sums[count:], strict=True)
    )


def _bucket_sums(
    model: LanguageModel, edges: list[int], autocast: Autocast, tokens: Tensor, starts: Tensor, weights: Tensor
) -> Tensor:
    """(2 · buckets,) fp64: nats of each bucket, then its predictions; arguments as of `LanguageModel.loss`."""
    rows, time = starts.shape
    context = steps_in_document(starts, time, tokens.new_zeros(rows)).flatten()
    bucket = torch.bucketize(context, torch.tensor(edges[1:-1], device=context.device), right=True)
    order = torch.argsort(bucket, stable=True)
    parts = torch.split(order, torch.bincount(bucket, minlength=len(edges) - 1).tolist())
    targets, counted = tokens[:, 1:].flatten(), weights.flatten()
    with autocast():
        hidden, _ = model(tokens[:, :-1], starts)
        flat = hidden.flatten(0, 1)
        nats = [
            linear_cross_entropy(
                flat[part],
                model.embedding.weight,
                targets[part],
                vocabulary=model.vocabulary,
                token_weights=counted[part],
            )
            for part in parts
        ]
    return torch.stack([*nats, *(counted[part].sum() for part in parts)]).double()
