"""What names the code that trained a model."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from trading_pipeline.adapters import checkout


def git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", folder, *settings, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("one = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    git(tmp_path, "tag", "--annotate", "v1.0.0", "--message", "a tag changes nothing")
    return tmp_path


def test_the_revision_is_the_whole_hash_and_tells_of_changes(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert re.fullmatch(r"[0-9a-f]{40}", head)

    (repository / "scratch.txt").write_text("not part of the code")
    assert checkout.revision(repository) == head
    (repository / "code.py").write_text("one = 2\n")
    assert checkout.revision(repository) == f"{head}-dirty"


def test_somebody_elses_repository_around_an_installed_package_is_not_its_revision(
    repository: Path,
) -> None:
    packages = repository / "lib/site-packages"
    packages.mkdir(parents=True)

    assert checkout.revision(packages) is None


def test_without_git_there_is_no_revision_and_no_failure(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.fspath(repository))

    assert checkout.revision(repository) is None
