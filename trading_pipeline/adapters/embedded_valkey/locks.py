"""Locks on files that the system takes back however their holder ends."""

import os
from pathlib import Path


def hold(path: Path) -> int:
    """Have a share of a lock once nobody has all of it; closing the handle gives it back."""
    import fcntl  # noqa: PLC0415 - there is none on Windows, where there is no server either

    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def can_have(lock: int, *, alone: bool) -> bool:
    """Whether all of a lock, or a share of it, could be had just now; none of it is kept."""
    import fcntl  # noqa: PLC0415 - see above

    try:
        fcntl.flock(lock, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(lock, fcntl.LOCK_UN)
    return True


def is_held(path: Path) -> bool:
    """Whether anybody has any of a lock."""
    if not path.exists():
        return False
    lock = os.open(path, os.O_RDWR)
    try:
        return not can_have(lock, alone=True)
    finally:
        os.close(lock)
