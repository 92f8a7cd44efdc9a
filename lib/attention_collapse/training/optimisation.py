"""One step of the weights: two optimisers, the schedule, and the running average."""

from typing import Any

import torch
from torch import Tensor, nn

from attention_collapse.training.config import TrainingConfig
from attention_collapse.training.muon import Muon
from attention_collapse.vggt import Block

BETAS = (0.9, 0.98)


class Optimisation:
    """Muon on the matrices inside blocks, AdamW on the rest, and an average over the last steps.

    Home section: *mini-VGGT*.

    Args:
        network: Network to train.
        config: Settings.
        steps: Length of the run, which the schedule needs.
    """

    def __init__(self, network: nn.Module, config: TrainingConfig, *, steps: int) -> None:
        self._config, self._steps = config, steps
        matrices, vectors, plain = _sorted_parameters(network)
        self._parameters = matrices + vectors + plain
        muon = Muon(matrices, lr=config.matrix_rate, weight_decay=config.weight_decay)
        groups = (
            {"params": vectors, "weight_decay": config.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        )
        fused = self._parameters[0].is_cuda
        adamw = torch.optim.AdamW(groups, lr=config.vector_rate, betas=BETAS, fused=fused)
        self._optimisers = {
            "matrices": (muon, config.matrix_rate),
            "others": (adamw, config.vector_rate),
        }
        self._named = [
            (name, value) for name, value in network.state_dict().items() if value.numel()
        ]
        self.average: dict[str, Tensor] = {name: value.clone() for name, value in self._named}

    def step(self, step: int) -> None:
        """Use the gradients of the step with this number, counted from 0."""
        nn.utils.clip_grad_norm_(self._parameters, self._config.gradient_norm)
        factor = schedule(step, self._steps, self._config)
        for optimiser, rate in self._optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            optimiser.step()
        weights = [value for _, value in self._named]
        past = averaging(step, self._config)
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - past)

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` needs to go on as if nothing had happened."""
        states = {name: optimiser.state_dict() for name, (optimiser, _) in self._optimisers.items()}
        return states | {"average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        for name, (optimiser, _) in self._optimisers.items():
            optimiser.load_state_dict(state[name])
        for name, value in self.average.items():
            value.copy_(state["average"][name])


def schedule(step: int, steps: int, config: TrainingConfig) -> float:
    """Size of a step over the peak: a rise, a plateau and a fall to zero, all straight.

    Home section: *mini-VGGT*.
    """
    rise = (step + 1) / (config.warm_up * steps)
    fall = (steps - step) / (config.cool_down * steps)
    return min(1.0, rise, fall)


def averaging(step: int, config: TrainingConfig) -> float:
    """Weight of the past in the running average: small at first, so that the start is forgotten.

    Home section: *mini-VGGT*.
    """
    return min(config.averaging, 1 - 10 / (step + 20))


def _sorted_parameters(
    network: nn.Module,
) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Matrices inside blocks; other weights of linear maps; and the rest, which does not decay."""
    inside = {
        parameter
        for module in network.modules()
        if isinstance(module, Block)
        for parameter in module.parameters()
        if parameter.ndim == 2
    }
    mapping = {
        module.weight
        for module in network.modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and module.weight not in inside
    }
    trained = [p for p in network.parameters() if p.requires_grad and p.numel()]
    plain = [p for p in trained if p not in inside and p not in mapping]
    ordered = ([p for p in trained if p in chosen] for chosen in (inside, mapping))
    return *ordered, plain
