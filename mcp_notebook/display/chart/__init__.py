"""A small picture of a table that asks for one: a value over time, or one a category.

`choosing` decides from the columns' types whether there is something to see, `drawing`
makes lines and bars of it. The same shapes become elements of a live card and an SVG
image that stays in the saved notebook.
"""
