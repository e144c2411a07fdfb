"""Figures, not tests: `make bench` runs them all and writes them to a JSON file."""
