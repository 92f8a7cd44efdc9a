"""Keep a widget's still image on the page until the widget stands there.

A widget's output offers a live view and an image. For HTML, MyST-NB takes the live view and
drops the image. This transform runs just before that choice and puts the image inside the
view, from where the widget host removes it once the figure runs. Other builders (LaTeX) have
no live view and take the image by themselves.
"""

from docutils import nodes
from myst_nb.sphinx_ import SelectMimeType
from sphinx.transforms.post_transforms import SphinxPostTransform

VIEW = "application/vnd.jupyter.widget-view+json"
IMAGE = "image/png"
ALTERNATIVE_TEXT = "Still image of the interactive figure"


class KeepPosters(SphinxPostTransform):
    """Wrap each widget view and its still image in one ``widget-figure`` element."""

    default_priority = SelectMimeType.default_priority - 1
    formats = ("html",)

    def run(self, **kwargs):
        """Rewrite the outputs of one page."""
        for bundle in list(self.document.findall(is_widget_output)):
            view = child_of_type(bundle, VIEW)
            poster = child_of_type(bundle, IMAGE)
            figure = nodes.container("", *view.children, classes=["widget-figure"])
            if poster is not None:
                (image,) = poster.findall(nodes.image)
                image.setdefault("alt", ALTERNATIVE_TEXT)
                image["classes"].append("widget-poster")
                figure += image
            view.children = []
            view += figure


def is_widget_output(node):
    """Tell whether a node is a notebook output that a widget can draw."""
    return (
        isinstance(node, nodes.container)
        and node.get("nb_element") == "mime_bundle"
        and child_of_type(node, VIEW) is not None
    )


def child_of_type(bundle, mime_type):
    """Return the form of an output that has this type, or None."""
    return next((child for child in bundle.children if child["mime_type"] == mime_type), None)


def setup(app):
    """Register the transform."""
    app.add_post_transform(KeepPosters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
