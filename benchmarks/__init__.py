"""Benchmarks: what jwt_guard costs beside its peers, measured in one run.  ``python -m benchmarks --help``."""
