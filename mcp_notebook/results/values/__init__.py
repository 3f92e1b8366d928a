"""JSON and Python literals, exact and fast, and the tables that are inside what they hold."""
