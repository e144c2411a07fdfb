"""The documentation is current, connected and true: links lead somewhere, examples run."""

import importlib.util
import re
import shlex
import shutil
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import polars as pl
import pytest

from trading_pipeline.adapters.file_data.mapping import read_mapping
from trading_pipeline.cli import app
from trading_pipeline.core.risk.holdings import Range
from trading_pipeline.core.risk.step import Step
from trading_pipeline.errors import TradingPipelineError
from trading_pipeline.settings import Settings
from trading_pipeline_tests import whole_day
from trading_pipeline_tests.core.strategies.prefix import assert_does_not_peek
from trading_pipeline_tests.factories import random_bars, sessions_from

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TUTORIAL = DOCS / "tutorial/first-day.md"

SMALL = {
    "TP_TRAINING__TRAIN_SESSIONS": "126",
    "TP_TRAINING__VALID_SESSIONS": "42",
    "TP_TRAINING__FOLDS": "1",
    "TP_TRAINING__GBM__ROUNDS": "10",
}
"""A smaller model than the reader's, to save time; nothing the tutorial shows depends on it."""

LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


def anchors(page: Path) -> set[str]:
    """The anchors a heading gets where the pages are read: lower case, blanks to dashes."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[tuple[Path, str]]:
    """Where the relative links of a page lead: a file and, if any, a heading in it."""
    prose = BLOCK.sub("", page.read_text())
    parts = [target.partition("#") for target in LINK.findall(prose)]
    return [((page.parent / path).resolve() if path else page, mark) for path, _, mark in parts]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """docs/generate.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, mark in links(page):
        assert target.exists(), f"{name_of(page)} links to {target}"
        if mark:
            assert mark in anchors(target), f"{name_of(page)} links to #{mark} of {target.name}"


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += [target for target, _ in links(page) if target in PAGES]

    assert sorted(set(PAGES) - reached) == []


def test_the_generated_pages_are_current(generate: ModuleType) -> None:
    stale = [
        name_of(page)
        for page, text in generate.pages().items()
        if not page.exists() or page.read_text() != text
    ]

    assert stale == [], "`make fix` writes them again"


def test_every_setting_is_on_its_page_with_a_meaning(generate: ModuleType) -> None:
    rows = [line.split(" | ") for line in generate.settings().splitlines() if line[:4] == "| `T"]

    assert {f"TP_{name.upper()}" for name in Settings.model_fields} & {
        row[0].strip("| `") for row in rows
    } >= {"TP_SYMBOLS", "TP_VENDOR", "TP_LEDGER_URL", "TP_DRY_RUN"}
    assert [row[0] for row in rows if not row[3].strip(" |")] == []


def test_every_error_is_on_its_page_with_its_exit_code(generate: ModuleType) -> None:
    page = generate.error_tree()

    def family(kind: type[TradingPipelineError]) -> list[type[TradingPipelineError]]:
        return [kind, *(one for child in kind.__subclasses__() for one in family(child))]

    for kind in family(TradingPipelineError):
        if kind.__module__ == "trading_pipeline.errors":
            row = next(line for line in page.splitlines() if f"`{kind.__name__}`" in line)
            assert row.endswith(f"| {kind.exit_code} |")


def test_the_mappings_of_the_files_page_are_understood(tmp_path: Path) -> None:
    texts = blocks(DOCS / "how-to/use-your-own-files.md", "toml")
    assert len(texts) == 2

    for text in texts:
        (tmp_path / "mapping.toml").write_text(text)
        read_mapping(tmp_path / "mapping.toml")


def test_the_settings_of_the_files_page_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    (shell, *_) = blocks(DOCS / "how-to/use-your-own-files.md", "console")
    for name, value in re.findall(r"export (\w+)=(\S+)", shell):
        monkeypatch.setenv(name, value)

    settings = Settings.load(home=ROOT)

    assert settings.vendor == "files"
    assert settings.symbols == ("AAPL", "GE", "IBM", "KO", "MSFT", "XOM")


def test_the_strategy_of_the_strategy_page_scores_and_does_not_peek() -> None:
    (source,) = blocks(DOCS / "how-to/add-a-strategy.md", "python")
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # the page's own example
    made = namespace["strategy"]()
    days = sessions_from(count=12)
    bars = random_bars(["A", "B", "C"], days)

    scores = made(pl.DataFrame(), pl.DataFrame(), bars)

    assert scores.columns == ["symbol", "session", "score"]
    assert scores["session"].unique().sort().to_list() == days[made.look_back - 1 :]
    closes = bars.pivot("symbol", index="session", values="close").sort("session")
    falls = {name: 1 - closes[name][-1] / closes[name][-6] for name in "ABC"}
    last = scores.filter(session=days[-1]).sort("score")["symbol"].to_list()
    assert last == sorted(falls, key=falls.__getitem__)
    assert_does_not_peek(made, bars, pl.DataFrame(schema={"session": pl.Date}), days[7:11])


WRITTEN = [page for page in [ROOT / "README.md", *PAGES] if page.name != "cli.md"]
COMMAND = re.compile(r"(?m)^(?:\w+=\S* )*(?:docker compose exec \S+ )?trading-pipeline ")


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every call of the product in a page's blocks; what follows in a shell is cut."""
    text = "\n".join(blocks(page, "sh") + blocks(page, "console")).replace("\\\n", " ")
    for found in COMMAND.finditer(text):
        rest = iter(text[found.end() :].splitlines())
        said = next(rest)
        while said.count('"') % 2:
            said += f"\n{next(rest)}"
        words = shlex.split(said, comments=True)
        ends = [at for at, word in enumerate(words) if word in {"2>&1", "||", "|", "&&", ">", "&"}]
        yield words[: min(ends, default=None)]


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    for words in commands(page):
        app.parse_args(words, exit_on_error=False, print_error=False)


def test_commands_are_found_in_the_pages() -> None:
    found = [words[0] for page in WRITTEN for words in commands(page)]

    assert len(found) > 80
    assert {"paper-run", "sql", "backtest", "sweep", "stream", "restore"} <= set(found)


def test_the_check_of_the_risk_page_objects_above_its_limit_only() -> None:
    (source,) = blocks(DOCS / "how-to/add-a-risk-check.md", "python")
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # the page's own example

    def found(shares: int) -> Any:
        return namespace["short_value"](
            SimpleNamespace(
                after=Range(low=Decimal(shares)),
                price=Decimal(10),
                order=SimpleNamespace(symbol="AAPL"),
                limits=SimpleNamespace(max_short_value=Decimal(500)),
                over=partial(Step.over, None),  # pyright: ignore[reportArgumentType]
            )
        )

    assert found(100) is found(-50) is None
    assert found(-51).sentence.startswith("The short position in AAPL would be worth 510.00")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh checkout as the tutorial's reader has it after `make setup`."""
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    return whole_day.make_checkout(tmp_path)


IN_SHELL = ("2>&1", "||", "echo", "exit code $?")
"""What a command of the tutorial may end with: both outputs, and the code of a failure."""


def typed(line: str, checkout: Path) -> str:
    """What the reader sees who types this line in the checkout."""
    words = shlex.split(line)
    shell = words[-len(IN_SHELL) :] == list(IN_SHELL)
    assert words[0] == "trading-pipeline"
    words = words[1 : -len(IN_SHELL) if shell else None]
    ((code, out, errors),) = whole_day.commands(checkout, [words], **SMALL)
    # 1 is a service that does not answer in time: this machine's state, not the page's.
    assert shell or code in {0, 1}, f"{line}\n{out}\n{errors}"
    return f"{out}{errors}exit code {code}" if shell else out


def test_the_tutorial_does_what_it_says(checkout: Path) -> None:
    """Its `sh` blocks run one after the other; the lines of a `text` block appear in its answer.

    An ellipsis in such a line stands for anything.
    """
    said = ""
    for language, text in BLOCK.findall(TUTORIAL.read_text()):
        if language == "sh":
            said = typed(text, checkout)
        elif language == "text":
            for line in text.splitlines():
                pattern = ".*".join(re.escape(part.strip()) for part in line.split("…"))
                assert re.search(pattern, said), f"{line!r} is not in\n{said}"
