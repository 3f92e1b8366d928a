"""Benchmarks of the results package: `python -m tests.benchmarks [name ...] [--size N]`
prints ratios.

Every candidate of a benchmark runs in the same process, in turn, and the fastest of its
rounds counts.
"""
