"""Signing in to HTTP servers, and where the tokens stay."""
