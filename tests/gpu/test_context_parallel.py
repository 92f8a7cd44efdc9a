"""Torch's context parallelism against keys brought together, in a group of one process."""

import pytest
import torch
import torch.distributed as dist

from attention_collapse.experiments.context_parallel import ROUTES, attention_routes
from attention_collapse.measure.streaming import SingleProcess
from tolerances import ATTENTION_BFLOAT16

if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def group(tmp_path):
    dist.init_process_group("nccl", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("route", ROUTES[1:])
def test_every_route_gives_the_same_output(route):
    generator = torch.Generator("cuda").manual_seed(0)
    heads = torch.randn(3, 2, 1041, 64, generator=generator, device="cuda").bfloat16()
    routes = attention_routes(*heads, SingleProcess())
    found, exact = routes[route]().double(), routes["gathered"]().double()
    assert (found - exact).norm() <= ATTENTION_BFLOAT16 * exact.norm()
