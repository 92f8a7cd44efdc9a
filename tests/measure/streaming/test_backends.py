import pytest
import torch

from attention_collapse.measure.streaming import (
    DenseBackend,
    PortableBackend,
    StreamedAttention,
    choice,
    choose_backend,
    energy_ranks,
    streamed_singular_values,
)
from streaming_cases import independent, normal

CUDA = torch.device("cuda", 0)


def test_the_dense_backend_refuses_what_exceeds_its_limit():
    query, key = independent()
    needed = 8 * 2 * 70 * 83
    assert DenseBackend(byte_limit=needed).rows(query, key).entropy.shape == (2, 70)
    with pytest.raises(ValueError, match=f"need {needed} .*take PortableBackend"):
        DenseBackend(byte_limit=needed - 1).rows(query, key)


@pytest.mark.parametrize("backend", [DenseBackend(), PortableBackend()])
def test_frames_must_be_whole(backend):
    query, key = independent()
    normalisers = backend.rows(query, key).log_sum_exp
    with pytest.raises(ValueError, match="key must hold whole frames of 10 tokens; got 83"):
        backend.columns(query, key, normalisers, tokens_per_frame=10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query_chunk": 0}, "query_chunk must be at least 1, got 0"),
        ({"key_chunk": -1}, "key_chunk must be at least 1, got -1"),
        ({"dtype": torch.bfloat16}, "float32 or torch.float64, got torch.bfloat16"),
    ],
)
def test_bad_options_of_the_portable_backend_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PortableBackend(**options)


EXHAUSTED = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
]


def exhaust(monkeypatch, owner, name, error=EXHAUSTED[0]):
    def exhausted(*_, **__):
        raise error

    monkeypatch.setattr(owner, name, exhausted)


@pytest.mark.parametrize("error", EXHAUSTED, ids=["cuda", "cpu"])
def test_an_exhausted_device_names_the_size_and_the_chunk(monkeypatch, error):
    exhaust(monkeypatch, torch, "mm", error)
    backend = PortableBackend(query_chunk=512, key_chunk=1024)
    with pytest.raises(MemoryError, match=r"4 MiB.*query_chunk=128, key_chunk=256"):
        backend.rows(*independent())


def test_other_errors_are_not_of_memory(monkeypatch):
    exhaust(monkeypatch, torch, "mm", RuntimeError("device-side assert"))
    with pytest.raises(RuntimeError, match="device-side assert"):
        PortableBackend().rows(*independent())


@pytest.mark.parametrize("name", ["rows", "columns", "apply", "apply_transposed"])
def test_a_dense_matrix_without_room_names_its_size(monkeypatch, name):
    query, key = normal(1, 512, 8), normal(1, 512, 8, seed=1)
    others = {"columns": (query[..., 0],), "apply": (query[..., 0], key)}
    others["apply_transposed"] = others["apply"]
    exhaust(monkeypatch, torch.Tensor, "softmax" if name == "rows" else "exp")
    with pytest.raises(MemoryError, match=r"6 MiB, beside .* take PortableBackend"):
        getattr(DenseBackend(), name)(query, key, *others.get(name, ()))


@pytest.mark.parametrize("search", [streamed_singular_values, energy_ranks])
def test_a_search_without_room_names_its_blocks(monkeypatch, search):
    attention = StreamedAttention(*independent())
    exhaust(monkeypatch, torch.linalg, "eigh")
    with pytest.raises(MemoryError, match="10 blocks of 83 tokens x 64 columns.*probes=32"):
        search(attention, count=2, generator=torch.Generator())


@pytest.mark.parametrize("chosen", ["highest", "high", "medium"])
def test_products_are_in_full_precision_whatever_is_set(chosen, monkeypatch):
    libraries = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    seen, mm, eigh = [], torch.mm, torch.linalg.eigh

    def look(of):
        def looking(*arguments, **options):
            seen.append({library.fp32_precision for library in libraries})
            return of(*arguments, **options)

        return looking

    monkeypatch.setattr(torch, "mm", look(mm))
    monkeypatch.setattr(torch.linalg, "eigh", look(eigh))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(chosen)
    try:
        PortableBackend().rows(*independent())
        streamed_singular_values(
            StreamedAttention(*independent()), count=2, generator=torch.Generator()
        )
        assert torch.get_float32_matmul_precision() == chosen
    finally:
        torch.set_float32_matmul_precision(before)
    assert len(seen) > 20
    assert all(precisions == {"ieee"} for precisions in seen)


def test_no_tile_exceeds_the_chunks(monkeypatch):
    """Memory beside inputs and results: two tiles of the chosen size."""
    sizes = []
    product = torch.mm

    def spy(*arguments, out):
        sizes.append(tuple(out.shape))
        return product(*arguments, out=out)

    monkeypatch.setattr(torch, "mm", spy)
    PortableBackend(query_chunk=16, key_chunk=32).rows(*independent())
    assert max(sizes) == (16, 32)
    assert sum(rows * keys for rows, keys in sizes) == 2 * 70 * 83


class Kernels(DenseBackend):
    """Stands in for the Triton backend."""

    name = "triton"


def with_device(monkeypatch, *, capability, triton):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(choice, "find_spec", lambda _: object() if triton else None)
    monkeypatch.setattr(choice, "_triton_backend", Kernels)


def test_ampere_and_later_take_triton(monkeypatch):
    with_device(monkeypatch, capability=(8, 0), triton=True)
    assert choose_backend(CUDA, torch.bfloat16, 64).name == "triton"
    assert choose_backend(CUDA, torch.float64, 64).name == "portable"
    assert choose_backend(CUDA, torch.bfloat16, 64, name="portable").name == "portable"
    assert choose_backend(torch.device("cpu"), torch.bfloat16, 64).name == "portable"


def test_dimensions_without_tiles_take_the_portable(monkeypatch):
    with_device(monkeypatch, capability=(9, 0), triton=True)
    chosen = {dim: choose_backend(CUDA, torch.bfloat16, dim).name for dim in (64, 72, 8)}
    assert chosen == {64: "triton", 72: "portable", 8: "portable"}


@pytest.mark.parametrize(("capability", "triton"), [((7, 5), True), ((9, 0), False)])
def test_older_devices_and_those_without_triton_take_the_portable(monkeypatch, capability, triton):
    with_device(monkeypatch, capability=capability, triton=triton)
    assert choose_backend(CUDA, torch.float16, 64).name == "portable"


def test_a_name_overrides_the_choice(monkeypatch):
    with_device(monkeypatch, capability=(7, 5), triton=True)
    assert choose_backend(CUDA, torch.float16, 64, name="triton").name == "triton"
    assert choose_backend(CUDA, torch.float16, 64, name="dense").name == "dense"


def test_names_that_cannot_be_had_are_refused():
    with pytest.raises(ValueError, match="one of dense, portable, triton; got 'fast'"):
        choose_backend(CUDA, torch.float16, 64, name="fast")
    with pytest.raises(ValueError, match="needs a CUDA device.*got device cpu"):
        choose_backend(torch.device("cpu"), torch.float32, 64, name="triton")
