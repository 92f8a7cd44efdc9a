"""Settings of a training run, and the presets."""

from dataclasses import dataclass, fields, replace

from attention_collapse.vggt import MINI, MINI_SCALABLE, TINY, VGGTConfig


@dataclass(frozen=True)
class TrainingConfig:
    """Everything a run depends on, beside its seed and its number of steps.

    Home section: *mini-VGGT*.

    Args:
        network: Sizes of the network.
        image_size: Height and width of the rendered images in pixels.
        worlds: Number of rooms, and of corridors.
        batch_frames: Frames in a step, whatever the number of frames in a scene.
        frame_counts: Frames in a scene; every batch draws one entry.
        rendered_together: Batches that are rendered at once.
        distinct_batches: Batches that take turns, kept in memory; ``None`` renders new ones at
            every step.
        matrix_rate: Peak step size of the matrices inside blocks, which ``Muon`` steps.
        vector_rate: Peak step size of everything else, which AdamW steps.
        weight_decay: Of matrices, per unit of step size.
        warm_up: Share of the steps over which the step sizes rise.
        cool_down: Share of the steps over which they fall to zero.
        gradient_norm: Longest gradient; longer ones are scaled down.
        averaging: Weight of the past in the running average of the weights.
        camera_weight: Weight of the camera's loss beside those of points and depth.
        confidence_weight: Reward for the logarithm of the confidence.
        log_every: Steps from one line of the curve to the next.
        checkpoint_every: Steps from one checkpoint to the next, a multiple of ``log_every``.

    Raises:
        ValueError: A size does not fit the others, or a number is out of its range.
    """

    network: VGGTConfig = MINI
    image_size: tuple = (56, 56)
    worlds: int = 4096
    batch_frames: int = 480
    frame_counts: tuple = (2, 3, 4, 5, 6, 8, 8)
    rendered_together: int = 8
    distinct_batches: int | None = None
    matrix_rate: float = 2e-3
    vector_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: float = 0.03
    cool_down: float = 0.35
    gradient_norm: float = 1.0
    averaging: float = 0.999
    camera_weight: float = 5.0
    confidence_weight: float = 0.2
    log_every: int = 50
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        counts = ("worlds", "batch_frames", "rendered_together", "log_every", "checkpoint_every")
        for name in counts:
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("matrix_rate", "vector_rate", "gradient_norm"):
            self._require(name, getattr(self, name) > 0, "positive")
        for name in ("weight_decay", "camera_weight", "confidence_weight"):
            self._require(name, getattr(self, name) >= 0, "zero or more")
        for name in ("warm_up", "cool_down", "averaging"):
            self._require(name, 0 < getattr(self, name) < 1, "between 0 and 1")
        if self.distinct_batches is not None:
            self._require("distinct_batches", self.distinct_batches >= 1, "at least 1 or None")
        self._check_image_size()
        self._check_frame_counts()
        self._check_intervals()

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            default = next(field.default for field in fields(self) if field.name == name)
            raise ValueError(
                f"{name} must be {rule}, got {getattr(self, name)}; the preset mini has {default}"
            )

    def _check_image_size(self) -> None:
        patch_size = self.network.aggregator.patch_size
        if any(side < 1 or side % patch_size for side in self.image_size):
            raise ValueError(
                f"the sides of image_size must be multiples of the patch size {patch_size}, got "
                f"{self.image_size}; use for example {(8 * patch_size, 8 * patch_size)}"
            )

    def _check_frame_counts(self) -> None:
        counts = self.frame_counts
        fitting = [count >= 2 and not self.batch_frames % count for count in counts]
        if not counts or not all(fitting) or 2 * max(counts) > self.batch_frames:
            raise ValueError(
                "frame_counts must be numbers from 2 that divide batch_frames, so that a step "
                f"holds an orbit and a walk or more, got {counts} and {self.batch_frames}; use for "
                "example (2, 4) and 16"
            )

    def _check_intervals(self) -> None:
        if self.checkpoint_every % self.log_every:
            raise ValueError(
                "checkpoint_every must be a multiple of log_every, so that no line of the curve is "
                f"cut in two, got {self.checkpoint_every} and {self.log_every}; use for example "
                f"{20 * self.log_every}"
            )


_MINI = TrainingConfig()

PRESETS = {
    "mini": _MINI,
    "mini_wide": replace(_MINI, frame_counts=(2, 3, 4, 6, 8, 12, 16, 24)),
    "mini_scalable": replace(_MINI, network=MINI_SCALABLE),
    "tiny": TrainingConfig(
        network=TINY,
        image_size=(28, 28),
        worlds=64,
        batch_frames=16,
        frame_counts=(2,),
        distinct_batches=48,
        matrix_rate=4e-3,
        vector_rate=3e-3,
        averaging=0.99,
        log_every=10,
        checkpoint_every=50,
    ),
}
"""Presets by name.

``mini_wide`` sees scenes of up to 24 frames, ``mini_scalable`` has scores that grow with the number
of tokens, and both are ``mini`` in all else; ``tiny`` is for a laptop.
"""

DEFAULT_STEPS = dict.fromkeys(PRESETS, 22_000) | {"tiny": 320}
"""Steps of a run of each preset, unless told otherwise."""
