"""MCP servers of this package: read-only databases, and the notebook's own shared tables.

Importing this package imports none of mcp, duckdb and pandas.
"""
