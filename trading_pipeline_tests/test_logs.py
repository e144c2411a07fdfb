"""Log lines are JSON with what is bound and what is given."""

import json
import logging

from trading_pipeline.logs import JsonFormatter, bind


def test_a_line_is_json_with_bound_and_given_fields() -> None:
    bind(session="2013-02-28", run_id="r1")
    record = logging.makeLogRecord(
        {"msg": "rows %s", "args": (3,), "levelname": "INFO", "name": "x", "table": "raw_bars"}
    )
    line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "rows 3"
    assert (line["session"], line["run_id"], line["table"]) == ("2013-02-28", "r1", "raw_bars")
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_one_field_of_the_line() -> None:
    try:
        raise ValueError("boom")  # noqa: TRY301
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "x", "exc_info": (ValueError, error, None)})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "boom" in json.loads(line)["exception"]
