"""What a person sees: events of a cell become one live view, and static output when the cell ends.

view         the events of one cell, drawn as they come
outputs      where they are drawn, and the quiet lines between
call_view    one call as it is known at a moment, with its words
card         the call as static HTML and text, widgets as a live card
tables       the rows of a table that a card shows, charts its pictures
questions    what a person is asked, form_fields what is filled in
listing      what magics list
"""
