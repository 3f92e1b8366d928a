"""How well results of other people's servers are read: `python -m tests.corpus
[FOLDER]`.

A folder holds one sub-folder a server with captures (`NN.json` or `NN.json.gz`: the
statement, the tool's schema, the raw result, the path of its truth) and
`_truth/ENGINE/CASE.json[.gz]` with the columns and rows as the database's driver gave
them. Every capture is read once, its first table compared with the truth, and each
difference put down to the carrier (the result no longer holds it) or to us.
"""
