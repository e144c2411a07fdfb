"""The document of a day: its schema, its numbers and its times."""

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_pipeline.flows import report
from trading_pipeline.flows.comparison_report import ComparisonReport
from trading_pipeline.flows.day_report import DayReport
from trading_pipeline.flows.documents import plain_money, plain_shares, schema_text
from trading_pipeline.flows.model_documents import HistoryReport, SignalsReport, TrainingReport
from trading_pipeline.flows.status_report import StatusReport
from trading_pipeline_tests.days import BLOCKED, FILLED, PARAMETERS, REJECTED, day, order

REFERENCE = Path(__file__).parents[2] / "docs/reference"


def document(**changes: object) -> dict:
    return report.build(day(**changes)).model_dump(mode="json")


def test_the_document_survives_json_without_losing_a_digit() -> None:
    built = report.build(day())

    assert DayReport.model_validate_json(built.model_dump_json()) == built


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("paper_run", DayReport),
        ("status", StatusReport),
        ("signals", SignalsReport),
        ("training", TrainingReport),
        ("comparison", ComparisonReport),
        ("history", HistoryReport),
    ],
)
def test_the_published_schema_is_that_of_the_document(name: str, document: type) -> None:
    published = (REFERENCE / f"{name}.schema.json").read_text(encoding="utf-8")

    assert published == schema_text(document), (
        f"write schema_text({document.__name__}) to docs/reference/{name}.schema.json"
    )


def test_every_field_of_the_document_is_required_of_a_reader() -> None:
    schema = json.loads(schema_text(DayReport))

    assert set(schema["required"]) == set(document())
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("orders", "status", "code"),
    [(FILLED, "success", 0), ((*FILLED, REJECTED), "partial", 2), ((BLOCKED,), "failed", 2)],
)
def test_the_exit_code_follows_the_status(orders, status, code) -> None:
    built = report.build(day(orders=orders))

    assert (built.status, built.exit_code) == (status, code)


def test_a_dry_run_exits_with_zero() -> None:
    dry = PARAMETERS.model_copy(update={"dry_run": True})
    built = report.build(day(parameters=dry, orders=(order("AAPL"), BLOCKED), fills=()))

    assert (built.status, built.exit_code) == ("dry_run", 0)


def test_timestamps_are_utc_with_their_offset() -> None:
    new_york = timezone(timedelta(hours=-5))
    found = document(started_at=datetime(2013, 3, 1, 9, 0, tzinfo=new_york))

    assert found["timezone"] == "UTC"
    assert found["timestamp"] == "2013-03-01T14:00:00+00:00"
    assert datetime.fromisoformat(found["generated_at"]).utcoffset() == timedelta(0)


def test_a_timestamp_without_zone_is_refused() -> None:
    finished = datetime(2013, 3, 1, 14, 0, 4)

    with pytest.raises(ValidationError, match="timezone"):
        report.build(day(started_at=datetime(2013, 3, 1, 14), finished_at=finished))


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-1e12, max_value=1e12)
)
def test_written_money_has_cents_and_is_exactly_the_amount(amount: Decimal) -> None:
    text = plain_money(amount)

    assert Decimal(text) == amount
    assert len(text.partition(".")[2]) >= 2


@pytest.mark.parametrize(
    ("quantity", "expected"), [("1E+2", "100"), ("10.50", "10.5"), ("-3", "-3"), ("0", "0")]
)
def test_written_shares_have_no_needless_digit(quantity, expected) -> None:
    assert plain_shares(Decimal(quantity)) == expected
