"""The command line: `trading-pipeline …`, a friendly face on the jobs that Dagster runs.

Exit codes of every command: 0 success · 1 a dependency is missing or down · 2 the run failed or was
partial · 3 bad input or configuration · 130 interrupted.
"""

import sys
from importlib.metadata import version
from typing import NoReturn

from cyclopts import App, CycloptsError

from trading_pipeline.errors import SettingsError, TradingPipelineError
from trading_pipeline.logs import name_service, redacted

INTERRUPTED = 130

app = App(
    name="trading-pipeline",
    help="A daily equity trading platform, run and watched from Dagster.",
    version=lambda: version("trading-pipeline"),
)
# By name, so that a command imports only what it needs.
app.command("trading_pipeline.cli.paper_run:paper_run", name="paper-run")
app.command("trading_pipeline.cli.status:status", name="status")
app.command("trading_pipeline.cli.doctor:doctor", name="doctor")
app.command("trading_pipeline.cli.sql:sql", name="sql")
app.command("trading_pipeline.cli.quarantine:app", name="quarantine")
app.command("trading_pipeline.cli.replay:replay", name="replay")
app.command("trading_pipeline.cli.compact:compact", name="compact")
for word in ("halt", "resume", "reduce", "flatten"):
    app.command(f"trading_pipeline.cli.halt:{word}", name=word)
app.command("trading_pipeline.cli.reconcile:reconcile_books", name="reconcile")
app.command("trading_pipeline.cli.reconcile:bootstrap", name="bootstrap")
app.command("trading_pipeline.cli.reconcile:gains", name="gains")
app.command("trading_pipeline.cli.follow:follow_orders", name="follow")
app.command("trading_pipeline.cli.resend:resend_order", name="resend")
app.command("trading_pipeline.cli.train:train", name="train")
app.command("trading_pipeline.cli.signals:signals", name="signals")
app.command("trading_pipeline.cli.model:app", name="model")
app.command("trading_pipeline.cli.stream:app", name="stream")
app.command("trading_pipeline.cli.pnl:pnl", name="pnl")
app.command("trading_pipeline.cli.backtest:backtest", name="backtest")
app.command("trading_pipeline.cli.init:init", name="init")
app.command("trading_pipeline.cli.metrics:metrics", name="metrics")
app.command("trading_pipeline.cli.notify:notify", name="notify")
app.command("trading_pipeline.cli.ui:ui", name="ui")
app.command("trading_pipeline.cli.worker:worker", name="worker")
for word in ("backup", "restore"):
    app.command(f"trading_pipeline.cli.backup:{word}", name=word)
app.command("trading_pipeline.cli.sweep:sweep", name="sweep")


def main() -> NoReturn:
    """Run the command of the process's arguments and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; an error is one sentence on standard error."""
    if arguments and not arguments[0].startswith("-"):
        name_service(arguments[0])
    try:
        return (
            app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
            or 0
        )
    except TradingPipelineError as error:
        return _fail(str(error), error.exit_code)
    except CycloptsError as error:
        return _fail(
            f"{str(error).strip()} See `trading-pipeline --help`.", SettingsError.exit_code
        )
    except KeyboardInterrupt:
        return _fail("Interrupted: what was done so far is kept; run again to go on.", INTERRUPTED)


def _fail(sentence: str, code: int) -> int:
    sys.stderr.write(f"trading-pipeline: {redacted(sentence)}\n")
    return code
