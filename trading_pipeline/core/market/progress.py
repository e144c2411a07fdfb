"""How far long work with a vendor's data is."""

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Told what is being done, and which share of all of it is."""


def unwatched(what: str, share: float) -> None:
    """Tell nobody."""
