"""From a run to plain code: what was called, which of it counts, and the cells or the
script that do it again.

    trail        the calls that were made, exactly, in this process's memory only
    choosing     which of them make the tables that are wanted
    steps        those as steps in order, with names, placeholders for secrets and checks
    notebook     steps -> cells of a notebook        script    steps -> Python
    check        is a table still what it was        compare   what changed between two

None is loaded before its first use.
"""
