"""The reconstruction viewer: points and cameras in space that the reader can turn."""

import math

import numpy as np
import traitlets
from jaxtyping import Float

from attention_collapse.widgets.base import BookWidget, StateError, front_end
from attention_collapse.widgets.camera_frusta import ViewerFrame, frusta
from attention_collapse.widgets.quantisation import (
    PointGrid,
    decode_shares,
    encode_shares,
)

MAX_POINTS = 12_000
MAX_CAMERAS = 64
STATE_BUDGET = 400_000
"""Bytes of JSON that the widget may put on a page."""

FRUSTUM_DEPTH = 0.12  # of the scene's radius
RANGES = {"azimuth": (-180.0, 180.0), "elevation": (-89.0, 89.0), "zoom": (0.25, 8.0)}
PRESETS = [
    {"name": "From the cameras", "azimuth": 0.0, "elevation": 5.0, "zoom": 1.0},
    {"name": "From the side", "azimuth": 60.0, "elevation": 20.0, "zoom": 1.0},
    {"name": "From above", "azimuth": 0.0, "elevation": 89.0, "zoom": 1.0},
]


class ReconstructionViewer(BookWidget):
    """Predicted points and cameras in space, beside the true ones, which the reader turns.

    The page rounds points to 16 bits a coordinate and colours to 8, and shows at most 12 000
    points. Points and cameras are in the coordinates of a ``ViewerFrame``.

    Attributes:
        points: Predicted points, as text of ``PointGrid.encode``.
        true_points: True points in the same order, or nothing.
        colours: Red, green and blue of every point, as text of ``encode_shares``.
        confidence: Confidence of every point, or nothing: its logarithm from the smallest to
            the largest, as text of ``encode_shares``.
        lower: Corner of the grid of the points.
        step: Step of the grid of the points.
        unit: Length of one unit of the viewer in units of the scene.
        cameras: Predicted cameras, each as the five corners that ``frusta`` makes.
        true_cameras: True cameras, or none.
        azimuth: Direction from which the reader looks, in degrees to the right.
        elevation: The same in degrees above the horizon, within 89 of it.
        zoom: Nearness of the reader, from 0.25 to 8.
        shown: ``"predicted"``, ``"true"`` or ``"both"``, beside each other.
        colouring: ``"image"``, ``"confidence"`` or ``"error"``, distance to the true point.

    Raises:
        ValueError: If a trait leaves its range, or asks for what is not there.

    Home section: *mini-VGGT*.
    """

    _esm = front_end(
        "controls.js",
        "plot.js",
        "base.js",
        "panel.js",
        "quantisation.js",
        "reconstruction_viewer_projection.js",
        "reconstruction_viewer_canvas.js",
        "reconstruction_viewer_gestures.js",
        "reconstruction_viewer_controls.js",
        "reconstruction_viewer_panels.js",
        "reconstruction_viewer.js",
    )
    _css = front_end("base.css", "panel.css", "reconstruction_viewer.css")

    presets = traitlets.List(traitlets.Dict(), PRESETS).tag(sync=True)
    fragment = traitlets.Unicode("reconstruction-viewer").tag(sync=True)
    points = traitlets.Unicode().tag(sync=True)
    true_points = traitlets.Unicode().tag(sync=True)
    colours = traitlets.Unicode().tag(sync=True)
    confidence = traitlets.Unicode().tag(sync=True)
    lower = traitlets.List(traitlets.Float(), [0.0, 0.0, 0.0]).tag(sync=True)
    step = traitlets.Float(1.0).tag(sync=True)
    unit = traitlets.Float(1.0).tag(sync=True)
    cameras = traitlets.List().tag(sync=True)
    true_cameras = traitlets.List().tag(sync=True)
    azimuth = traitlets.Float(25.0).tag(sync=True)
    elevation = traitlets.Float(20.0).tag(sync=True)
    zoom = traitlets.Float(1.0).tag(sync=True)
    shown = traitlets.Enum(["predicted", "true", "both"], "predicted").tag(sync=True)
    colouring = traitlets.Enum(["image", "confidence", "error"], "image").tag(sync=True)

    @classmethod
    def from_arrays(
        cls,
        points: Float[np.ndarray, "frame height width 3"],
        images: Float[np.ndarray, "frame 3 height width"],
        world_to_camera: Float[np.ndarray, "frame 3 4"],
        intrinsics: Float[np.ndarray, "frame 3 3"],
        *,
        true_points: Float[np.ndarray, "frame height width 3"] | None = None,
        true_world_to_camera: Float[np.ndarray, "frame 3 4"] | None = None,
        confidence: Float[np.ndarray, "frame height width"] | None = None,
        **traits: object,
    ) -> "ReconstructionViewer":
        """A viewer of the points of all pixels and of the cameras, all in the same coordinates.

        Of more than 12 000 pixels as many are drawn at random, always the same.

        Args:
            points: Predicted points in the world.
            images: Pixels in [0, 1], the colours of the points.
            world_to_camera: Predicted cameras with OpenCV axes.
            intrinsics: Of the cameras, predicted and true alike.
            true_points: True points, in the same order.
            true_world_to_camera: True cameras.
            confidence: Positive numbers.
            traits: Further traits.

        Raises:
            ValueError: As the class, and if points are not finite, a confidence is not positive,
                colours leave [0, 1], or there are more than 64 cameras.
        """
        if len(points) > MAX_CAMERAS:
            raise StateError(
                f"there must be at most {MAX_CAMERAS} frames; got {len(points)}: show some."
            )
        chosen = _drawn(points[..., 0].size)
        clouds = [each.reshape(-1, 3)[chosen] for each in (points, true_points) if each is not None]
        upright = world_to_camera if true_world_to_camera is None else true_world_to_camera
        frame = ViewerFrame.of(clouds[-1], upright)
        placed = [frame(cloud) for cloud in clouds]
        grid = PointGrid.around(np.concatenate(placed))
        outlined = [
            [] if each is None else camera_outlines(frame, each, intrinsics, images.shape[2:])
            for each in (world_to_camera, true_world_to_camera)
        ]
        state = {
            "points": grid.encode(placed[0]),
            "true_points": grid.encode(placed[1]) if true_points is not None else "",
            "colours": encode_shares(images.transpose(0, 2, 3, 1).reshape(-1, 3)[chosen]),
            "confidence": "" if confidence is None else _logarithms(confidence.ravel()[chosen]),
            "lower": list(grid.lower),
            "step": grid.step,
            "unit": frame.unit,
            "cameras": outlined[0],
            "true_cameras": outlined[1],
            "shown": "predicted" if true_points is None else "both",
        }
        return cls(**state | traits)

    @property
    def grid(self) -> PointGrid:
        """The grid of the points."""
        first, second, third = self.lower
        return PointGrid((first, second, third), self.step)

    def poster(self) -> bytes:
        """Draw the present state as a PNG, for readers without a widget host."""
        from attention_collapse.figures.reconstruction_viewer import Cloud, viewer_png

        shades = self._shades()
        clouds = {
            name: Cloud(self.grid.decode(text), shades, _corners(cameras))
            for name, text, cameras in (
                ("predicted", self.points, self.cameras),
                ("true", self.true_points, self.true_cameras),
            )
            if self.shown in (name, "both")
        }
        return viewer_png(clouds, azimuth=self.azimuth, elevation=self.elevation, zoom=self.zoom)

    def _shades(self) -> Float[np.ndarray, "point channel"] | Float[np.ndarray, "point"]:
        if self.colouring == "image":
            return decode_shares(self.colours).reshape(-1, 3)
        if self.colouring == "confidence":
            return decode_shares(self.confidence)
        errors = self.grid.decode(self.points) - self.grid.decode(self.true_points)
        distances = np.linalg.norm(errors, axis=1)
        return np.clip(distances / (np.quantile(distances, 0.95) or 1.0), 0, 1)

    @traitlets.validate(*RANGES)
    def _require_range(self, proposal: dict) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = RANGES[name]
        if not low <= value <= high:
            raise StateError(
                f"{name} must be at least {low:g} and at most {high:g}; got {value}: stay within."
            )
        return value

    @traitlets.validate("shown", "colouring")
    def _require_what_is_there(self, proposal: dict) -> str:
        value = proposal["value"]
        needed = {"true": "true_points", "both": "true_points", "error": "true_points"}
        needed |= {"confidence": "confidence"}
        if value in needed and not getattr(self, needed[value]):
            raise StateError(
                f"{proposal['trait'].name} must be of what the viewer holds; got {value!r} "
                f"without {needed[value]}: give from_arrays that too."
            )
        return value


def _drawn(count: int) -> np.ndarray:
    """Indices of the pixels to show."""
    if count <= MAX_POINTS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, MAX_POINTS, replace=False))


def camera_outlines(
    frame: ViewerFrame,
    world_to_camera: Float[np.ndarray, "frame 3 4"],
    intrinsics: Float[np.ndarray, "frame 3 3"],
    image_size: tuple[int, ...],
) -> list:
    """Cameras as the viewer holds them: five corners each, in its coordinates.

    Args:
        frame: The viewer's coordinates.
        world_to_camera: Matrices with OpenCV axes.
        intrinsics: Of the cameras.
        image_size: Height and width in pixels.

    Home section: *mini-VGGT*.
    """
    depth = FRUSTUM_DEPTH * frame.unit
    height, width = image_size
    corners = frusta(world_to_camera, intrinsics, image_size=(height, width), depth=depth)
    return frame(corners).round(5).tolist()


def _corners(cameras: list) -> Float[np.ndarray, "camera 5 3"]:
    return np.array(cameras, dtype=float).reshape(-1, 5, 3)


def _logarithms(confidence: Float[np.ndarray, "point"]) -> str:
    if not (confidence > 0).all():
        raise StateError(
            f"confidence must be positive; got {confidence.min():.3g}: give it before a logarithm."
        )
    logarithms = np.log(confidence)
    spread = logarithms.max() - logarithms.min()
    return encode_shares((logarithms - logarithms.min()) / (spread or math.inf))
