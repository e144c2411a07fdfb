"""What the program says of itself."""

import pytest

from trading_pipeline.cli import COMMANDS, run


@pytest.mark.parametrize("asked", [[], ["--help"], ["-h"]], ids=str)
def test_every_command_is_listed_with_a_sentence(
    asked: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    assert run(asked) == 0

    listed = [line.strip("│ ").split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    told = {words[0]: words[1] for words in listed if len(words) > 1}
    assert {name for name in COMMANDS if told.get(name, "")[-1:] == "."} == set(COMMANDS)
    assert told["paper-run"] == ("Run the trading day of one session, from bars to the P&L report.")
    assert told["quarantine"] == "List bars set aside; release or reject a suspect one."
