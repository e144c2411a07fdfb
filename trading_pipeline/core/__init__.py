"""Decides: polars frames and frozen values in, the same out; no I/O, no clock, no environment."""
