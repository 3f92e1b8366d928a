"""What a shared name may hold beside a DataFrame, and where its SQL runs.

Tables of this machine (files, Arrow datasets, lazy Polars frames, streams) are read by
DuckDB: `scan` says what it opens, `files`, `streams` and `spool` make it. Tables of
another engine (Spark, Ibis backends, the person's own DuckDB connection) are queried
there: `plan` turns a checked statement into the engine's own SQL with private names,
`places` finds the engine of a value, one module an engine runs it, `away` puts these
together.
"""
