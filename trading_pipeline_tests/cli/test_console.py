"""The report on the console, and the display of a running job."""

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from rich.console import Console

from trading_pipeline.cli.console import Progress, print_failure, print_report
from trading_pipeline.flows import report
from trading_pipeline.flows.day_report import CheckRow
from trading_pipeline_tests.days import (
    FILLED,
    PARAMETERS,
    SESSION,
    book_of,
    day,
    deposit,
    fill_of,
    order,
)

REPORT = report.build(day())


def piped(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width)


def terminal(width: int = 80, **options: object) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        color_system="standard",
        _environ={"TERM": "xterm"},
        **options,
    )


def shown(console: Console, built=REPORT, **options) -> str:
    print_report(built, console=console, **options)
    return console.file.getvalue()


def test_the_piped_report_is_rules_titles_steps_and_keys() -> None:
    lines = shown(piped(), written=[Path("day.html")]).splitlines()

    kinds = (r"={80}", r"PAPER RUN .+", r"\[[1-5]/5\] .+", r"[A-Z][\w&. ]*: \S.*")
    assert [line for line in lines if not any(re.fullmatch(kind, line) for kind in kinds)] == []


def test_the_banners_say_when_and_how_it_ended() -> None:
    lines = shown(piped()).splitlines()

    assert lines[:3] == ["=" * 80, "PAPER RUN - 2013-03-01T14:00:00+00:00 (UTC)", "=" * 80]
    assert lines[-3:] == ["=" * 80, "PAPER RUN COMPLETE - Status: PARTIAL", "=" * 80]


@pytest.mark.parametrize(
    ("built", "status"),
    [
        (report.build(day(orders=FILLED)), "SUCCESS"),
        (report.build(day(parameters=PARAMETERS.model_copy(update={"dry_run": True}))), "DRY RUN"),
    ],
)
def test_the_closing_banner_bears_the_status(built, status) -> None:
    assert f"PAPER RUN COMPLETE - Status: {status}\n" in shown(piped(), built)


def test_a_day_that_sends_nothing_says_what_its_orders_would_be_worth() -> None:
    parameters = PARAMETERS.model_copy(update={"dry_run": True})
    dry = report.build(day(parameters=parameters, orders=(order("AAPL", price="400"),)))

    assert "Planned Notional: $4,000.00\nTotal Notional:" in shown(piped(), dry)


def test_the_five_steps_come_once_each_and_in_order() -> None:
    for console in (piped(), terminal()):
        assert re.findall(r"\[(\d)/5\]", shown(console)) == ["1", "2", "3", "4", "5"]


def test_the_piped_keys_can_be_read_by_a_program() -> None:
    lines = shown(piped(), written=[Path("a.json"), Path("b.html")]).splitlines()
    pairs = [line.partition(": ") for line in lines if not line.startswith(("[", "="))]
    found = {key: value for key, _, value in pairs}

    assert found["Symbols"] == "AAPL, FB, GOOG, IBM, MSFT"
    assert found["Capital"] == "$100,000.00"
    assert found["Max Position"] == "$20,000.00"
    assert found["Run ID"] == "5b0f8f0e-7a8e-4c1b-9d3c-1f8a5be2c001"
    assert found["Signals Generated"] == "5"
    assert (found["Submitted"], found["Accepted"], found["Rejected"]) == ("3", "2", "1")
    assert found["Total Notional"] == "$38,857.46"
    assert found["Success Rate"] == "66.7%"
    assert found["Unrealized"] == "+$559.66"
    assert found["Net Exposure"] == "-$22.59"
    assert found["Order 3"].endswith(
        "status=rejected client_order_id=20130228-IBM-buy "
        "filled_qty=0 commission=0.00 "
        'reason="no <shares> to borrow today"'
    )
    assert "status=open" in found["Position AAPL"]
    assert [value for key, _, value in pairs if key == "Report"] == ["a.json", "b.html"]


def test_nothing_piped_depends_on_the_width() -> None:
    assert shown(piped(width=20)) == shown(piped(width=300))


def test_a_piped_report_is_plain_ascii_but_for_what_others_say() -> None:
    text = shown(piped())

    assert text.isascii()
    assert "\x1b" not in text


def test_a_line_break_in_a_reason_makes_no_second_line() -> None:
    built = report.build(day(orders=(order("AAPL", reason="one\ntwo: three"),)))

    assert "two: three" not in shown(piped(), built).splitlines()


def test_a_terminal_gets_tables_in_color() -> None:
    text = shown(terminal())

    assert "\x1b[32m" in text
    assert re.search(r"Symbol.*Qty.*Filled at", text)
    assert "Order 1" not in text


def test_a_terminal_cuts_no_name_of_a_check_and_no_path() -> None:
    long = CheckRow(name="orders_within_limits", passed=True, blocking=False, sentence="All are.")
    built = REPORT.model_copy(update={"checks": (long,)})
    path = Path("/srv") / ("deep/" * 20) / "day.html"

    text = re.sub(r"\x1b\[[\d;]*m", "", shown(terminal(), built, written=[path]))

    assert re.search(r"orders_within_limits +passed - All are\.", text)
    assert str(path) in text


def test_losses_are_red_and_gains_green_on_a_terminal() -> None:
    text = shown(terminal())

    assert re.search(r"\x1b\[32m *\+\$348\.70\x1b\[0m", text)
    loss = report.build(day(pnl=book_of(deposit(), fill_of(FILLED[1]), GOOG="700")))
    assert re.search(r"\x1b\[31m *-\$", shown(terminal(), loss))


def test_no_color_is_kept_to_on_a_terminal() -> None:
    text = shown(terminal(no_color=True))

    assert not re.search(r"\x1b\[[\d;]*3[1-7]m", text)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_of_a_terminal_is_wider_than_it(width: int) -> None:
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown(terminal(width)))

    assert max(len(line) for line in plain.splitlines() if set(line) != {"="}) <= width


def test_json_is_the_document_and_nothing_else() -> None:
    text = shown(piped(20), as_json=True)

    assert json.loads(text) == REPORT.model_dump(mode="json")


def test_a_day_without_book_is_reported() -> None:
    built = report.build(day(pnl=None, snapshots=(), orders=(), fills=()))

    assert "Book: empty" in shown(piped(), built)
    assert "Book:" in shown(terminal(), built)


def test_a_failure_is_told_with_the_run_that_failed() -> None:
    console = piped(30)
    print_failure(SESSION, "5b0f", "FB has no clean bar in 2013-02-28.", console=console)
    lines = console.file.getvalue().splitlines()

    assert "Run ID: 5b0f" in lines
    assert "Error: FB has no clean bar in 2013-02-28." in lines
    assert lines[-2] == "PAPER RUN FAILED - Status: FAILED"


def events(*kinds: tuple[str, str | None]) -> list[SimpleNamespace]:
    """What Dagster tells a listener, as far as it is listened to."""
    return [
        SimpleNamespace(dagster_event=SimpleNamespace(event_type_value=kind, step_key=step))
        for kind, step in kinds
    ] + [SimpleNamespace(dagster_event=None, user_message="a line")]


DAY = events(
    ("RUN_START", None),
    ("STEP_START", "raw_bars"),
    ("STEP_SUCCESS", "raw_bars"),
    ("STEP_START", "quality_gate"),
    ("STEP_FAILURE", "quality_gate"),
    ("STEP_FAILURE", "never_started"),
)


def test_the_display_follows_the_steps_on_a_terminal() -> None:
    console = terminal()

    with Progress(console=console) as progress:
        for event in DAY:
            progress.listen(event)

    text = console.file.getvalue()
    assert "raw bars" in text
    assert "✓" in text
    assert "quality gate failed" in text


def unable() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})


def test_the_display_can_listen_to_a_real_run() -> None:
    import dagster as dg  # noqa: PLC0415 - heavy: on first use

    @dg.op
    def raw_bars() -> None:
        pass

    @dg.op(ins={"after": dg.In(dg.Nothing)})
    def quality_gate() -> None:
        raise ValueError

    @dg.job
    def day() -> None:
        quality_gate(after=raw_bars())

    console, run_id = terminal(), str(uuid4())
    with dg.DagsterInstance.ephemeral() as instance, Progress(console=console) as progress:
        instance.add_event_listener(run_id, progress.listen)
        day.execute_in_process(instance=instance, run_id=run_id, raise_on_error=False)

    text = console.file.getvalue()
    assert "✓" in text
    assert "quality gate failed" in text


@pytest.mark.parametrize(
    "progress",
    [
        Progress(console=piped()),
        Progress(console=terminal(), quiet=True),
        Progress(console=unable()),
    ],
)
def test_the_display_is_silent_when_nobody_watches(progress: Progress) -> None:
    with progress:
        for event in DAY:
            progress.listen(event)

    assert progress.console.file.getvalue() == ""


def interrupt(progress: Progress) -> None:
    with progress:
        progress.started("raw_bars")
        raise KeyboardInterrupt


def test_an_interrupted_display_gives_the_cursor_back() -> None:
    console = terminal()

    with pytest.raises(KeyboardInterrupt):
        interrupt(Progress(console=console))

    hidden, back = "\x1b[?25l", "\x1b[?25h"
    assert console.file.getvalue().rindex(back) > console.file.getvalue().rindex(hidden)
