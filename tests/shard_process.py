"""One process of a sharded measurement, started with the environment of ``torchrun``."""

import math
import os
import sys
import time
from datetime import timedelta

import torch
from jaxtyping import install_import_hook

with install_import_hook("attention_collapse", "beartype.beartype"):
    from attention_collapse.measure.attention_summary import summarise_attention
    from attention_collapse.measure.streaming import (
        PortableBackend,
        StreamedAttention,
        energy_ranks,
        of_this_run,
        share_of,
    )
    from attention_collapse.tokens import TokenLayout

from streaming_cases import normal

LAYOUT = TokenLayout(4, 3, 3)
# Not a multiple of two or three.
TOKENS = 67
DIM = 16


def tokens(count):
    return normal(2, count, DIM), normal(2, count, DIM, seed=1)


def statistics(query, key, shards, layout=None):
    """Everything that sums over queries, of queries and keys of this process."""
    attention = StreamedAttention(
        query,
        shards.concatenate(key),
        backend=PortableBackend(query_chunk=16, key_chunk=24, dtype=torch.float64),
        layout=layout,
        shards=shards,
    )
    generator = torch.Generator().manual_seed(3)
    ranks = energy_ranks(attention, count=4, probes=8, generator=generator)
    found = {
        "entropy_of_rows": shards.concatenate(attention.row_entropy),
        "column_sums": attention.column_sums,
        "frobenius_squared": attention.frobenius_squared,
        "distance_from_rank_one": attention.distance_from_rank_one,
        "apply_transposed": attention.apply_transposed(query),
        "values": ranks.leading.values,
        "participation_ratio": ranks.participation_ratio,
        "effective_rank": ranks.effective_rank,
    }
    found |= summarise_attention(attention)
    return found if layout is None else found | {"frame_mass": attention.frame_mass}


def measure(shards, rank, ranks):
    results = []
    for count, unit, layout in ((TOKENS, 1, None), (LAYOUT.count, LAYOUT.per_frame, LAYOUT)):
        query, key = tokens(count)
        own = share_of(count, rank=rank, ranks=ranks, unit=unit)
        results.append(statistics(query[:, own], key[:, own], shards, layout))
    return results


def main(task, folder, seconds):
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    with of_this_run(timeout=timedelta(seconds=seconds)) as shards:
        shards.sum(torch.ones(1))
        if rank == ranks - 1 and task == "die":
            os._exit(1)
        if rank == ranks - 1 and task == "hang":
            time.sleep(600)
        if task == "refuse":
            query, key = tokens(6)
            query[:, 0] = math.nan if rank == ranks - 1 else 0
            StreamedAttention(query, key, shards=shards)
        if task == "unknown":
            shards.sum(torch.ones(1).to(torch.float8_e4m3fn))
        torch.save(measure(shards, rank, ranks), f"{folder}/{rank}.pt")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
