"""Arrays and records drawn with matplotlib, one file per family of figures, in one style.

``style`` holds the palette, which the widgets share; ``rank_explorer`` is the still image of the
widget of that name.
"""
