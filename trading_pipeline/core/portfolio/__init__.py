"""Scores to target weights, target weights to planned orders."""
