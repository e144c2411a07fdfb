"""The lock file: which version of each package this machine should have, and which it has."""

from collections.abc import Mapping
from importlib import metadata


def locked(text: str) -> dict[str, str]:
    """Package → version of a lock file, the lines for this machine only."""
    from packaging.requirements import Requirement  # noqa: PLC0415 - heavy: on first use

    pins: dict[str, str] = {}
    for line in text.splitlines():
        if "==" not in line or line.startswith((" ", "#")):
            continue
        pin = Requirement(line.removesuffix("\\").strip())
        if pin.marker is None or pin.marker.evaluate():
            pins[canonical(pin.name)] = str(next(iter(pin.specifier)).version)
    return pins


def differing(wanted: Mapping[str, str]) -> list[str]:
    """Return the packages that are not here as `wanted`, each with the version that is."""
    found = {canonical(each.name): each.version for each in metadata.distributions()}
    return [
        f"{name} {found.get(name, 'missing')} (locked: {version})"
        for name, version in wanted.items()
        if found.get(name) != version
    ]


def canonical(name: str) -> str:
    """Return the one spelling of a package's name that all of its spellings mean."""
    return name.lower().replace("_", "-").replace(".", "-")
