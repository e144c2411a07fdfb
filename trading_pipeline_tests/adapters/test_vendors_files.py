"""The vendor `files` on bad input: one sentence, the right type, and nothing guessed."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from trading_pipeline.adapters.file_data import FileData
from trading_pipeline.adapters.lake import Lake
from trading_pipeline.errors import SchemaError, SettingsError, TradingPipelineError
from trading_pipeline.flows.ingest import ingest_actions, ingest_bars

HEADER = "symbol,date,open,high,low,close,volume"
ROW = "AAA,2012-01-03,10,11,9,10.5,1000"
GOOD = f"{HEADER}\n{ROW}\nAAA,2012-01-04,10,11,9,10.5,1000\n"
HTML = "<!DOCTYPE html>\n<html><body>503 Service Unavailable, try later</body></html>\n"
JSON = '{"error": {"code": 429, "message": "limit reached"}}\n'
DAY = date(2012, 1, 3)


def changed(before: str, after: str) -> bytes:
    assert before in GOOD
    return GOOD.replace(before, after).encode()


def table(**columns: object) -> pl.DataFrame:
    plain = {"symbol": ["AAA"], "date": [DAY], "volume": [1_000]}
    prices: dict[str, object] = {name: [10.0] for name in ("open", "high", "low", "close")}
    return pl.DataFrame({**plain, **prices, **columns})


def is_one_sentence(error: TradingPipelineError) -> bool:
    text = str(error)
    return text.endswith(".") and "\n" not in text and len(text) < 400


BAD_CSV = {
    "missing column": (changed("close,", "last,"), SchemaError, r"bars\.csv lacks close: its col"),
    "no column at all": (
        b"",
        SchemaError,
        r"bars\.csv, which begins with '', cannot be read as CSV",
    ),
    "header only": (f"{HEADER}\n".encode(), SchemaError, "holds no bar at all"),
    "HTML": (HTML.encode(), SchemaError, r"begins with '<!DOCTYPE html>', cannot be read as CSV"),
    "HTML under a header": (
        f"{HEADER}\n{HTML}".encode(),
        SchemaError,
        "has '<!DOCTYPE html>' .* as symbol in row 1",
    ),
    "JSON": (JSON.encode(), SchemaError, "lacks symbol"),
    "garbage": (bytes(range(128, 256)) * 9, SchemaError, r"bars\.csv"),
    "binary zeros": (b"\0" * 500, SchemaError, r"bars\.csv"),
    "words for numbers": (
        changed("10.5,1000\nAAA", "about ten,1000\nAAA"),
        SchemaError,
        r"'about ten' \(String\) as close in row 1: a number was expected",
    ),
    "a date that is none": (
        changed("2012-01-04", "2012-02-30"),
        SchemaError,
        r"'2012-02-30' \(String\) as session in row 2: a date was expected",
    ),
    "dates of another country": (
        changed("2012-01-04", "04.01.2012"),
        SchemaError,
        r"'04\.01\.2012' .*row 2: a date was expected",
    ),
    "no symbol": (changed("\nAAA,2012-01-04", "\n,2012-01-04"), SchemaError, "symbol in row 2"),
    "the header once more": (
        changed("\nAAA,2012-01-04", f"\n{HEADER}\nAAA,2012-01-04"),
        SchemaError,
        r"'date' \(String\) as session in row 2",
    ),
    "too many fields": (changed("9,10.5", "9,9,9,9,10.5"), SchemaError, "cannot be read as CSV"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_a_bad_csv_is_one_typed_sentence_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    content, kind, pattern = BAD_CSV[case]
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "bars.csv").write_bytes(content)
    lake = Lake(tmp_path / "lake")
    for ingest in (ingest_bars, ingest_actions):
        with pytest.raises(kind, match=pattern) as raised:
            ingest(
                lake,
                FileData(folder),
                symbols=["AAA"],
                sessions=[DAY],
                now=datetime(2012, 1, 4, tzinfo=UTC),
            )
        assert is_one_sentence(raised.value)
    assert not lake.root.exists()


BAD_PARQUET = {
    "truth for a price": (table(close=[True]), r"'True' \(Boolean\) as close in row 1: a number"),
    "text for a price": (table(close=["ten"]), r"'ten' \(String\) as close in row 1: a number"),
    "lists for a price": (table(close=[[1.0]]), r"\(List\(Float64\)\) as close in row 1: a number"),
    "a number for a symbol": (table(symbol=[7]), r"'7' \(Int64\) as symbol in row 1: a symbol"),
    "a number for a date": (table(date=[20120103]), r"\(Int64\) as session in row 1: a date"),
    "no date": (table(date=[None]), r"has nothing \(Null\) as session in row 1: a date"),
    "missing column": (table().drop("volume"), r"bars\.parquet lacks volume: its columns are 'sym"),
}


@pytest.mark.parametrize("case", BAD_PARQUET)
def test_a_parquet_file_of_wrong_types_is_a_schema_error(tmp_path: Path, case: str) -> None:
    frame, pattern = BAD_PARQUET[case]
    frame.write_parquet(tmp_path / "bars.parquet")
    with pytest.raises(SchemaError, match=pattern) as raised:
        FileData(tmp_path).symbols()
    assert is_one_sentence(raised.value)


@pytest.mark.parametrize("keep", [0, 4, 100, -50])
def test_a_truncated_parquet_file_is_a_schema_error(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "bars.parquet"
    table().write_parquet(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SchemaError, match=r"bars\.parquet, .*cannot be read as Parquet") as raised:
        FileData(path).last_session()
    assert is_one_sentence(raised.value)


def test_a_folder_without_files_of_bars_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("no bars here")
    with pytest.raises(SettingsError, match=r"has no file of bars: names in \.csv"):
        FileData(tmp_path).symbols()
    with pytest.raises(SettingsError, match="nowhere does not exist: a folder or file"):
        FileData(tmp_path / "nowhere").symbols()


def test_one_bad_file_among_good_ones_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "b.csv").write_text(HTML)
    with pytest.raises(SchemaError, match=r"b\.csv, which begins with"):
        FileData(tmp_path).symbols()


BAD_MAPPINGS = {
    "unknown key": ('colums = "x"', "colums is unknown, 'colums' is none of convention, date_form"),
    "unknown column": (
        '[columns]\nprice = "close"',
        r"columns\.price is unknown, 'price' is none of symbol, session, open",
    ),
    "unknown column of actions": (
        '[actions]\nfile = "a.csv"\n[actions.columns]\nratio = "r"',
        r"actions\.columns\.ratio is unknown, 'ratio' is none of symbol, ex_date",
    ),
    "unknown constant": ('[constants]\nvolume = "1"', r"constants\.volume is unknown"),
    "a number for a name": ("[columns]\nclose = 4", r"columns\.close: Input should be a valid str"),
    "an empty name": ('[columns]\nclose = ""', r"columns\.close: String should have at least 1"),
    "a table for a name": ("columns = 3", "columns: Input should be a valid dict"),
    "unknown convention": ('convention = "other"', "convention: Input should be 'crsp' or 'yahoo'"),
    "adj_close alone": ('[columns]\nadj_close = "a"', "adj_close and convention are given togeth"),
    "convention alone": ('convention = "crsp"', "adj_close and convention are given together"),
    "two sources": (
        'convention = "crsp"\n[columns]\nadj_close = "a"\n[actions]\nfile = "a.csv"',
        "from columns.adj_close or from actions.file, not both",
    ),
    "volume without actions": ("volume_is_adjusted = true", "volume_is_adjusted needs adj_close"),
    "no TOML": ("[columns\nclose", "is no TOML"),
    "no text": (b"\xff\xfe\x00", "is no TOML"),
}


@pytest.mark.parametrize("case", BAD_MAPPINGS)
def test_a_bad_mapping_is_a_settings_error_before_any_file_is_read(
    tmp_path: Path, case: str
) -> None:
    text, pattern = BAD_MAPPINGS[case]
    path = tmp_path / "mapping.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError, match=rf"mapping\.toml.*{pattern}") as raised:
        FileData(tmp_path / "nowhere", path)
    assert is_one_sentence(raised.value)


def test_a_mapping_that_is_not_there_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read: No such file"):
        FileData(tmp_path, tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("actions", "pattern"),
    [
        ("symbol,ex_date\nAAA,2012-01-04\n", "has neither a split ratio nor a dividend"),
        ("symbol,ex_date,dividend\nAAA,soon,1\n", "'soon' .* as ex_date in row 1"),
        ("symbol,dividend\nAAA,1\n", r"actions\.csv lacks ex_date"),
    ],
)
def test_a_bad_file_of_actions_is_a_schema_error(
    tmp_path: Path, actions: str, pattern: str
) -> None:
    (tmp_path / "bars.csv").write_text(GOOD)
    (tmp_path / "actions.csv").write_text(actions)
    (tmp_path / "mapping.toml").write_text('[actions]\nfile = "actions.csv"')
    vendor = FileData(tmp_path, tmp_path / "mapping.toml")
    assert vendor.symbols() == {"AAA"}
    with pytest.raises(SchemaError, match=pattern):
        vendor.corporate_actions(["AAA"], DAY, DAY)


def test_a_missing_adjusted_close_column_is_a_schema_error(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(GOOD)
    (tmp_path / "mapping.toml").write_text('convention = "crsp"\n[columns]\nadj_close = "Adj"')
    with pytest.raises(SchemaError, match="lacks Adj"):
        FileData(tmp_path, tmp_path / "mapping.toml").symbols()


def test_a_price_that_is_missing_or_not_finite_is_null_and_never_zero(tmp_path: Path) -> None:
    cells = ["", " ", "null", "NaN", "N/A", "inf", "-inf", "-", "7.5"]
    rows = [f"AAA,2012-01-{day:02},{cell},9,9,9,9" for day, cell in enumerate(cells, start=3)]
    (tmp_path / "bars.csv").write_text("\n".join([HEADER, *rows]))
    bars = FileData(tmp_path).bars(["AAA"], DAY, date(2012, 1, 31))
    assert bars["open"].to_list() == [None] * 8 + [7.5]


def test_a_time_with_a_zone_is_a_date_in_new_york(tmp_path: Path) -> None:
    close = datetime(2012, 1, 4, 2, 0, tzinfo=UTC)  # 21:00 of the third in New York
    table(date=[close]).write_parquet(tmp_path / "bars.parquet")
    assert FileData(tmp_path).last_session() == DAY
    table(date=[datetime(2012, 1, 3, 16)]).write_parquet(tmp_path / "bars.parquet")
    assert FileData(tmp_path).last_session() == DAY


def test_symbols_are_made_upper_case(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(GOOD.replace("AAA", " aaa "))
    assert FileData(tmp_path).symbols() == {"AAA"}


def test_duplicate_rows_stay_for_the_quality_gate_to_judge(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(GOOD + ROW.replace("10.5", "99") + "\n")
    assert FileData(tmp_path).bars(["AAA"], DAY, DAY)["close"].to_list() == [10.5, 99.0]


def test_a_row_may_carry_a_split_and_a_dividend(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(GOOD)
    (tmp_path / "actions.csv").write_text(
        "symbol,ex_date,split_ratio,dividend\nAAA,2012-01-03,2,0.5\nAAA,2012-01-04,1,0\n"
    )
    (tmp_path / "mapping.toml").write_text('[actions]\nfile = "actions.csv"')
    vendor = FileData(tmp_path, tmp_path / "mapping.toml")
    assert vendor.corporate_actions(["AAA"], DAY, date(2012, 1, 4)).rows() == [
        ("AAA", DAY, "dividend", 1.0, 0.5, None, None),
        ("AAA", DAY, "split", 2.0, 0.0, None, None),
    ]
