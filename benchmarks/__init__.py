"""Benchmarks: accuracy against ground truth, speed against named alternatives. `python -m benchmarks`, or make bench."""
