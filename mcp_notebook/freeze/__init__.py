"""From a run to plain code: what was called, which of it counts, and the cells or the
script that do it again.

    call_log       the calls that were made, exactly, in this process's memory only
    select_calls   which of them make the tables that are wanted
    steps          those as steps in order, with names, placeholders for secrets and checks
    writer         steps -> cells of a notebook, or a script
    sealing        values as Python, with the secrets among them taken out
    compare        what changed between two tables, or since one was frozen
    fingerprint    a table in one short text

None is loaded before its first use.
"""
