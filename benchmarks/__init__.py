"""Benchmarks: accuracy against ground truth, speed against named alternatives. `make bench` runs them."""
