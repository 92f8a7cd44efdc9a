"""Repair what the tools below us leave wrong in a finished page.

- docutils gives the entries of a bibliography an ARIA role that is deprecated and may not
  stand in a list.
- No page says in its head what it is about, which search engines show.
- The signature of a dataclass shows a default made by a factory in a form that is not Python,
  and Sphinx then prints the whole signature unformatted.
"""

import html

from docutils import nodes

DESCRIPTION_LENGTH = 200


def repair_page(app, pagename, templatename, context, doctree):
    """Rewrite one page on its way to the template."""
    if doctree is None:  # made by Sphinx: search, index
        return
    context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
    if 'name="description"' not in context["metatags"]:
        content = html.escape(description(doctree))
        context["metatags"] += f'\n<meta name="description" content="{content}">'


def description(doctree):
    """Return the first paragraph of a page, cut at a word."""
    paragraph = next(doctree.findall(nodes.paragraph), None)
    text = " ".join(paragraph.astext().split()) if paragraph else ""
    if len(text) <= DESCRIPTION_LENGTH:
        return text
    return text[:DESCRIPTION_LENGTH].rsplit(" ", 1)[0] + " …"


def repair_signature(app, what, name, obj, options, signature, return_annotation):
    """Write a factory's default as an ellipsis."""
    return signature and signature.replace("<factory>", "..."), return_annotation


def setup(app):
    """Connect to the rendering of pages and signatures."""
    app.connect("html-page-context", repair_page)
    app.connect("autodoc-process-signature", repair_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
