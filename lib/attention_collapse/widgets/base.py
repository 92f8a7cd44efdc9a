"""What every widget of the book shares: its front end, presets, messages and still image."""

import base64
from pathlib import Path

import anywidget
import traitlets

STATIC = Path(__file__).parent / "static"


def front_end(*names: str) -> str:
    """Text of several files of ``static`` as one, because a widget's module imports nothing.

    Args:
        names: File names, in order.

    Home section: *The phenomenon*.
    """
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


class StateError(traitlets.TraitError, ValueError):
    """A value that a widget refuses: a ``ValueError`` on which traitlets also rolls back.

    Home section: *The phenomenon*.
    """


class BookWidget(anywidget.AnyWidget):
    """A widget with one front end for three hosts: JupyterLab, Colab and the static page.

    The contract with a host: the default export of ``_esm`` has ``render({model, el})``. It draws
    into ``el``, reads and sets the synced traits of ``model`` and returns a clean-up function. It
    imports and fetches nothing. A page with embedded widget state is static: there the widget
    also keeps its state in the address, as ``#fragment?trait=value&trait=value``.

    A subclass sets ``_esm`` and ``_css`` with ``front_end`` and overrides ``poster``.

    Attributes:
        presets: Named states, each a dict of ``name`` and values of traits.
        fragment: Name of this widget in the address; two widgets on one page need two names.
        message: What the widget is doing, shown below it.
        error: What went wrong in a callback, shown above it.

    Home section: *The phenomenon*.
    """

    presets = traitlets.List(traitlets.Dict()).tag(sync=True)
    fragment = traitlets.Unicode().tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)

    def apply_preset(self, name: str) -> None:
        """Set the traits that the preset ``name`` lists.

        Raises:
            ValueError: If no preset has this name.
        """
        presets = {preset["name"]: preset for preset in self.presets}
        if name not in presets:
            known = ", ".join(map(repr, presets))
            raise ValueError(f"name must be that of a preset; got {name!r}: use one of {known}.")
        with self.hold_trait_notifications():
            for trait, value in presets[name].items():
                if trait != "name":
                    setattr(self, trait, value)

    def poster(self) -> bytes:
        """Draw the present state as a PNG, for readers without a widget host."""
        raise NotImplementedError(f"{type(self).__name__} has no still image: override poster().")

    @traitlets.validate("presets")
    def _require_known_traits(self, proposal: dict) -> list:
        for preset in proposal["value"]:
            unknown = sorted(set(preset) - {"name", *self.keys})
            if "name" not in preset or unknown:
                raise StateError(
                    "a preset must have a name and otherwise values of synced traits; got "
                    f"{preset}: add a name and remove {unknown}."
                )
        return proposal["value"]

    def _repr_mimebundle_(self, **options: object) -> tuple[dict, dict]:
        data, metadata = super()._repr_mimebundle_(**options)
        image = base64.b64encode(self.poster()).decode("ascii")
        return {**data, "image/png": image}, metadata
