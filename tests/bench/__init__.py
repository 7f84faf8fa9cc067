"""Figures, never pass or fail: `make bench` prints them, doc/results.md keeps them."""
