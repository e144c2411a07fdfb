"""Loops are compiled where what was compiled cannot be kept."""

import os
import subprocess
import sys
from pathlib import Path

LOOPED = """
from trading_pipeline.core.features.compiled.compiling import kept
@kept
def twice(x):
    return 2 * x
print(twice(21))
"""


def test_where_nothing_can_be_kept_each_process_compiles(tmp_path: Path) -> None:
    (tmp_path / "looped.py").write_text(LOOPED)
    only_in_zip_files = {"NUMBA_CACHE_LOCATOR_CLASSES": "ZipCacheLocator"}

    done = subprocess.run(
        [sys.executable, tmp_path / "looped.py"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **only_in_zip_files},
    )

    assert done.stdout.strip() == "42"
