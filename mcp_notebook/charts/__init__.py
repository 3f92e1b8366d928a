"""Charts: a Vega-Lite specification over one table, checked, computed, drawn, told in
words, written as code; and which table is worth one without being asked.
"""
