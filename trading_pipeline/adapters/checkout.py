"""The git checkout that code runs from."""

import subprocess
from pathlib import Path

_DESCRIBE = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
"""The whole hash and no tag, with `-dirty` behind it where tracked files were changed since."""


def revision(root: Path = Path(__file__).parents[2]) -> str | None:
    """What names the code of a checkout, this package's own unless told: `8d0c…f1-dirty`.

    None where `root` is no checkout of its own (an installed package, even inside somebody's
    repository) and where there is no git, as in an image.
    """
    if not (root / ".git").exists():
        return None
    try:
        said = subprocess.run(  # noqa: S603 - fixed words
            ["git", "--no-optional-locks", "-C", str(root), *_DESCRIBE],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return said.stdout.strip() or None
