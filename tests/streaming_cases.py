"""Queries and keys of the kinds that streamed attention must measure, and their whole matrix."""

import torch

HEADS, QUERIES, KEYS, DIM = 2, 70, 83, 16


def normal(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype)


def independent():
    return normal(HEADS, QUERIES, DIM), normal(HEADS, KEYS, DIM, seed=1)


def clustered():
    centres = 2 * normal(HEADS, 5, DIM)
    query = centres[:, torch.arange(QUERIES) % 5] + 0.1 * normal(HEADS, QUERIES, DIM, seed=1)
    return query, centres[:, torch.arange(KEYS) % 5] + 0.1 * normal(HEADS, KEYS, DIM, seed=2)


def sink_dominated():
    query, key = independent()
    query, key = query + 1, key.clone()
    key[:, 0] = 8
    return query, key


def duplicate_keys():
    query, key = independent()
    return query, key[:, torch.arange(KEYS) // 4]


def constant_keys():
    query, key = independent()
    return query, key[:, :1].expand_as(key)


def extreme_scores():
    """Every query scores its keys between -80 and 80, and reaches both."""
    query, key = independent()
    scores = query @ key.mT / DIM**0.5
    query = query * 80 / scores.abs().amax(-1, keepdim=True)
    key = torch.cat((key, -key), dim=1)
    return query, key


def one_token():
    return normal(HEADS, 1, DIM), normal(HEADS, 1, DIM, seed=1)


CASES = {
    case.__name__: case
    for case in (
        independent,
        clustered,
        sink_dominated,
        duplicate_keys,
        constant_keys,
        extreme_scores,
        one_token,
    )
}


def whole_matrix(query, key):
    """Attention in float64, by the plain formula."""
    scores = torch.einsum("hid,hjd->hij", query.double(), key.double()) / query.shape[-1] ** 0.5
    return torch.softmax(scores, dim=-1)
