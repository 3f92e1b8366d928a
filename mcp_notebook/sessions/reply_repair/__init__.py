"""Repair of what servers send, between any transport of the MCP SDK and its client.

    tap      Tap: the open requests of one connection; decides what goes on to the SDK,
             what a broken line still tells, floods of notifications; the SDK's pair of
             streams with a tap in between
    results  replies with one bad part keep their good parts

It needs the SDK and nothing else of this notebook. Give a transport's streams to
`TappedRead` and `TappedWrite` with one `Tap`, and set `current_call` around a call to
learn its size and what was odd about its reply.
"""
