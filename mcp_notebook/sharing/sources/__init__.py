"""What a shared name may hold beside a DataFrame, and where its SQL runs.

Tables of this machine (files, Arrow datasets, lazy Polars frames, Ibis tables whose
engine is here) are read by DuckDB: `local_tables` says what it opens and what must be
made first. Tables of another engine (Spark, Ibis backends, the person's own DuckDB
connection) are queried there: `engine` says what every engine offers, `engines` finds
the one of a value, and one module an engine runs statements.

A statement for another engine is checked by `guard`, given the engine's meaning by
`dialect_rules` and `dialect_fixes`, and named anew and written by `plan`, all in the
worker process (`plan_request`). `remote_route` decides what runs where, `remote_plan`
runs it and gives the answer DuckDB's types.
"""
