"""Try a model file of unknown origin where it can do no harm: in a process of its own."""

import subprocess
import sys
from pathlib import Path

from trading_pipeline.errors import ModelCorruptError, ModelNotFoundError

SECONDS = 60.0
_PROGRAM = "import sys, lightgbm; lightgbm.Booster(model_file=sys.argv[1])"


def read_model_file(path: Path) -> str:
    """Return the text of a LightGBM model file that parses.

    LightGBM ends its process on some damaged texts, so another one parses it first. Raises
    ModelNotFoundError when there is no such file, ModelCorruptError when it does not parse.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ModelCorruptError(f"{path} is not the text of a LightGBM model.") from None
    except OSError as error:
        raise ModelNotFoundError(f"{path} cannot be read: {error.strerror}.") from None
    command = [sys.executable, "-c", _PROGRAM, str(path.absolute())]
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=SECONDS)  # noqa: S603 - our own words
    except subprocess.TimeoutExpired:
        raise ModelCorruptError(f"{path} did not parse within {SECONDS:g} s.") from None
    if done.returncode:
        raise ModelCorruptError(f"{path} is not a whole LightGBM model: it does not parse.")
    return text
