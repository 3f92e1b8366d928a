"""From raw columns to typed Arrow columns: declared and inferred types, NULLs, and what
was lost.
"""
