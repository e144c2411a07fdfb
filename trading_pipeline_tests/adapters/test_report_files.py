"""Report files: what they hold, and that they are written whole or not at all."""

import csv
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from trading_pipeline.adapters import report_files
from trading_pipeline.errors import SettingsError
from trading_pipeline.flows import report
from trading_pipeline_tests.days import FILLED, book_of, day, deposit, fill_of


class Page(HTMLParser):
    """What a browser would fetch and show."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input", "path", "use", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "action"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "day.html"
    report.save(report.build(day()), path)
    return path.read_text(encoding="utf-8")


def test_the_page_shows_what_a_trader_reads_in_the_morning(html: str) -> None:
    text = Page(html).text

    for words in (
        "Thursday, February 28, 2013",
        "partial",
        "2 filled, 1 rejected, 1 blocked by a risk check.",
        "−45",
        "$438.2190",
        "MSFT is over the limit",
        "FB zero weight",
        "✓ coverage",
        "✗ freshness",
        "+$348.70",
        "3-1a2b3c4d, trained through 2012-12-31",
        "2013-03-01 14:00:00+00:00",
    ):
        assert words in text


def test_the_page_is_well_formed_and_has_both_pictures(html: str) -> None:
    assert Page(html).open == []
    assert html.count("<svg ") == 2


def test_the_page_needs_no_other_file(html: str) -> None:
    assert set(Page(html).links) <= {link for link in Page(html).links if link.startswith("#")}
    assert not re.search(r"@import|url\((?!#)|<script|<link|<img", html)


def test_the_page_is_small(html: str) -> None:
    assert len(html) < 60_000


def test_what_a_broker_says_is_text_and_never_markup(html: str) -> None:
    assert "no &lt;shares&gt; to borrow today" in html
    assert "<shares>" not in html


def test_the_page_follows_a_dark_screen_and_prints_light(html: str) -> None:
    assert "@media screen and (prefers-color-scheme: dark)" in html
    assert "@media print" in html


def test_a_position_without_a_price_is_marked_on_the_page(tmp_path: Path) -> None:
    unpriced = book_of(deposit(), fill_of(FILLED[1]))
    report.save(report.build(day(pnl=unpriced)), tmp_path / "day.html")

    text = Page((tmp_path / "day.html").read_text(encoding="utf-8")).text

    assert "No price for GOOG: valued at cost, the unrealized gain is unknown." in text


def test_a_page_of_an_empty_book_can_be_written(tmp_path: Path) -> None:
    nothing = book_of()
    report.save(report.build(day(pnl=nothing, snapshots=(), orders=())), tmp_path / "day.html")

    assert "$0.00" in Page((tmp_path / "day.html").read_text(encoding="utf-8")).text


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "day.json"
    path.write_text("old" * 1000)

    report_files.write_text(path, "new")

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "day.json"
    path.write_text("old")

    with pytest.raises(SettingsError, match="cannot be written"):
        report_files.write_text(path, "new \ud800")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_check_before_the_day_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / "day.html"

    assert report_files.require_writable(path) == path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["day.txt", "day", "day.html.bak", ".json"])
def test_a_name_without_a_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{tmp_path / name} cannot be written")):
        report_files.require_writable(tmp_path / name)


def write_something(path: Path) -> Path:
    return report_files.write_text(path, "something")


@pytest.mark.parametrize("write", [report_files.require_writable, write_something])
@pytest.mark.parametrize("name", ["folder.json", "file/day.json", "x" * 300 + ".json", "a\0b.json"])
def test_an_unwritable_place_is_named_in_one_sentence(tmp_path: Path, name: str, write) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.iterdir())

    with pytest.raises(SettingsError, match=r"cannot be written: .+\.$") as found:
        write(tmp_path / name)

    assert str(tmp_path / name) in str(found.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_rights_is_refused_before_the_day(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(SettingsError, match="permission denied"):
        report_files.require_writable(tmp_path / "day.json")


def test_a_place_no_one_can_write_to_is_refused_before_the_day() -> None:
    with pytest.raises(SettingsError, match="cannot be written"):
        report_files.require_writable(Path("/proc/day.json"))


def test_a_csv_without_rows_is_its_header(tmp_path: Path) -> None:
    path = report_files.write_csv(tmp_path / "x.csv", [], ["symbol", "qty"])

    assert path.read_text() == "symbol,qty\n"


def test_a_csv_holds_nothing_that_a_spreadsheet_would_compute(tmp_path: Path) -> None:
    """A broker's or a vendor's words are in it; an amount below zero stays a number."""
    words = ["=cmd()", "+1+1", "-1-1", "@SUM(A1)", "\tx", "-29", "+1.5e3", "-0.25", "fine", None]

    path = report_files.write_csv(tmp_path / "x.csv", [{"why": word} for word in words], ["why"])

    with path.open(newline="") as file:
        found = [row["why"] for row in csv.DictReader(file)]
    assert found[:5] == [f"'{word}" for word in words[:5]]
    assert found[5:] == ["-29", "+1.5e3", "-0.25", "fine", ""]


def test_a_page_shows_every_word_and_carries_none_out(tmp_path: Path) -> None:
    """Whoever names a symbol, and whatever a broker answers: in text, tables and pictures."""
    said = report.build(day()).model_dump_json().replace("MSFT", "<script>x()</script><img src=x>")

    report.save(report.DayReport.model_validate_json(said), tmp_path / "day.html")

    page = (tmp_path / "day.html").read_text()
    assert "<script>x()</script>" in Page(page).text
    assert not re.search("<script|<img", page)


@pytest.mark.parametrize(
    ("value", "signed", "expected"),
    [
        ("1234.5", False, "$1,234.50"),
        ("-1234.505", False, "−$1,234.50"),
        ("0.01", True, "+$0.01"),
        ("-0.001", True, "$0.00"),
        ("0", True, "$0.00"),
        (None, True, "–"),
    ],
)
def test_dollars_are_rounded_to_cents_and_signed(value, signed, expected) -> None:
    assert report_files.dollars(value, signed=signed) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("450.81", "$450.81"), ("450.8", "$450.80"), ("450.8123", "$450.8123"), (None, "–")],
)
def test_a_price_keeps_its_part_of_a_cent(value, expected) -> None:
    assert report_files.price(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, "50.0%"), (-0.2053, "−20.5%"), (-0.0001, "0.0%"), (None, "–")]
)
def test_percent_has_one_decimal_and_no_negative_zero(value, expected) -> None:
    assert report_files.percent(value) == expected
