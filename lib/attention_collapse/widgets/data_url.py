"""Pictures as the text that the state of a page can hold."""

import base64
import io

import numpy as np
from jaxtyping import Float
from PIL import Image


def data_url(image: Float[np.ndarray, "3 image_height image_width"]) -> str:
    """A picture as the address of its own JPEG.

    Args:
        image: Pixels in [0, 1].

    Home section: *Token merging*.
    """
    pixels = np.rint(255 * image.transpose(1, 2, 0)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def pixels_of(url: str) -> Float[np.ndarray, "3 image_height image_width"]:
    """Pixels in [0, 1] of a picture that ``data_url`` wrote.

    Home section: *Token merging*.
    """
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return np.asarray(image, dtype=np.float64).transpose(2, 0, 1) / 255
