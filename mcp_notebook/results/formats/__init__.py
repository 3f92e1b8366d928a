"""One file a text format: from text to columns of values, or the reason why it is not
that format.
"""
