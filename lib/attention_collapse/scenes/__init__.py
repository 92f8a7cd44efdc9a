"""Rendered scenes with known cameras, depth and points.

The map, from the outside in:

- ``scene``: ``orbit`` and ``walk``, the two families, and ``Scene``, what they return.
- ``controls``: ``duplicates`` and ``foreign``, more frames without new views of the same world.
- ``collection``: many worlds of one family, filmed together; ``drawing`` and ``world_batches``
  put them side by side.
- ``trajectories``: where the camera is at frame k.
- ``room`` and ``corridor``: the two worlds, furnished at random from ``furniture`` and ``palette``.
- ``rendering``: the picture of a world from one camera; ``casting``: what each ray meets.
- ``world``, ``solids``, ``materials``, ``noise``: what a world is made of.
- ``cameras``: conventions, projection and rays.
- ``draws``: random numbers for all of it; ``lookup``: rows of tables.
"""

from attention_collapse.scenes.cameras import project
from attention_collapse.scenes.collection import (
    Clips,
    Collection,
    orbit_collection,
    walk_collection,
)
from attention_collapse.scenes.controls import MixedScene, duplicates, foreign, shown_views
from attention_collapse.scenes.scene import Scene, orbit, walk

__all__ = [
    "Clips",
    "Collection",
    "MixedScene",
    "Scene",
    "duplicates",
    "foreign",
    "orbit",
    "orbit_collection",
    "project",
    "shown_views",
    "walk",
    "walk_collection",
]
