"""A run: what is trained, how far it has come, and the folder that keeps it."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from attention_collapse.training.checkpoints import (
    describe_run,
    load_checkpoint,
    refuse_started,
    save_checkpoint,
)
from attention_collapse.training.config import TrainingConfig
from attention_collapse.training.optimisation import Optimisation
from attention_collapse.vggt import VGGT

# Linear heads start this much smaller than other maps: a fresh network then says that depths are
# about one and points near the origin, instead of guesses that take many steps to unlearn.
FIRST_READOUT = 0.1

# What a checkpoint holds beside the weights, the optimisers and the settings.
PROGRESS = ("step", "curve", "seconds", "commands")


@dataclass
class Run:
    """A run in progress, from ``Run.open``.

    Home section: *mini-VGGT*.

    Attributes:
        config: Settings.
        seed: Of the first weights and the scenes.
        steps: Length of the run.
        folder: Keeps the checkpoints.
        network: In training.
        optimisation: Optimisers and the running average.
        curve: One line for every ``log_every`` steps.
        step: Steps made.
        seconds: Time that these steps took, worlds and all, in all commands together.
        commands: What began the run and what resumed it.
    """

    config: TrainingConfig
    seed: int
    steps: int
    folder: Path
    network: VGGT
    optimisation: Optimisation
    curve: list[list[float]] = field(default_factory=list)
    step: int = 0
    seconds: float = 0.0
    commands: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        config: TrainingConfig,
        *,
        seed: int,
        steps: int,
        folder: Path,
        device: torch.device | str = "cpu",
        resume: bool = False,
        command: str = "",
    ) -> "Run":
        """A new run, or one that goes on where its last checkpoint left it.

        Args:
            config: Settings.
            seed: Of the first weights and the scenes.
            steps: Length of the run.
            folder: Receives the checkpoints; made if it does not exist.
            device: Where to train.
            resume: Whether to go on from the folder's checkpoint.
            command: What to note down as the cause of the steps that follow.

        Raises:
            ValueError: A number is out of its range, the folder has a checkpoint and is not to be
                resumed, or it has none or that of another run and is.
        """
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed must be in [0, 2**32), got {seed}; use for example 0")
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}; the preset mini takes 22000")
        network = _first_network(config, seed).to(device)
        optimisation = Optimisation(network, config, steps=steps)
        run = cls(config, seed, steps, folder, network, optimisation)
        if resume:
            run._restore(load_checkpoint(folder, run.settings))
        else:
            refuse_started(folder)
        folder.mkdir(parents=True, exist_ok=True)
        run.commands.append(command)
        return run

    @property
    def settings(self) -> dict:
        """What must be the same when the run is resumed."""
        return describe_run(self.config, seed=self.seed, steps=self.steps)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def averaged_weights(self) -> dict[str, Tensor]:
        """The running average of the weights, by state name."""
        return self.network.state_dict() | self.optimisation.average

    def save(self) -> None:
        """Put the state in the place of the folder's last checkpoint."""
        state = {
            "run": self.settings,
            "network": self.network.state_dict(),
            "optimisation": self.optimisation.state_dict(),
        }
        save_checkpoint(self.folder, state | {name: getattr(self, name) for name in PROGRESS})

    def _restore(self, state: dict) -> None:
        for name in PROGRESS:
            setattr(self, name, state[name])
        self.network.load_state_dict(state["network"])
        self.optimisation.load_state_dict(state["optimisation"])


def _first_network(config: TrainingConfig, seed: int) -> VGGT:
    network = VGGT(config.network, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for head in (network.depth_head, network.point_head):
            head.proj.weight.mul_(FIRST_READOUT)
    return network
