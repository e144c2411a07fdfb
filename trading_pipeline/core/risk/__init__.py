"""Limits and the ordered pre-trade gate."""
