"""Between a server and the SDK: stdio, Streamable HTTP and SSE, and the tap that
repairs what they carry.
"""
