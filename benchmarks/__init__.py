"""Measurements. Each runs as `python -m benchmarks.NAME`."""
