"""The official conformance suite against our own sessions."""
