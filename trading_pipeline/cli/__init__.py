"""The command line: `trading-pipeline …`, a friendly face on the jobs that Dagster runs.

Exit codes of every command: 0 success · 1 a dependency is missing or down · 2 the run failed or was
partial · 3 bad input or configuration · 130 interrupted.
"""

import ast
import sys
import traceback
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn

from cyclopts import App, CycloptsError

from trading_pipeline.errors import SettingsError, TradingPipelineError
from trading_pipeline.logs import begin_trace, name_service, redacted

INTERRUPTED = 130
ASKED: Final = ([], ["--help"], ["-h"])
"""Arguments that ask what commands there are."""

COMMANDS: Final = {
    "paper-run": "paper_run:paper_run",
    "status": "status:status",
    "doctor": "doctor:doctor",
    "sql": "sql:sql",
    "quarantine": "quarantine:app",
    "replay": "replay:replay",
    "compact": "compact:compact",
    "halt": "halt:halt",
    "resume": "halt:resume",
    "reduce": "halt:reduce",
    "flatten": "halt:flatten",
    "reconcile": "reconcile:reconcile_books",
    "bootstrap": "reconcile:bootstrap",
    "gains": "reconcile:gains",
    "follow": "follow:follow_orders",
    "resend": "resend:resend_order",
    "train": "train:train",
    "signals": "signals:signals",
    "model": "model:app",
    "stream": "stream:app",
    "pnl": "pnl:pnl",
    "backtest": "backtest:backtest",
    "init": "init:init",
    "metrics": "metrics:metrics",
    "notify": "notify:notify",
    "ui": "ui:ui",
    "worker": "worker:worker",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "sweep": "sweep:sweep",
}
"""Module of this package and function, or app, of each command."""

app = App(
    name="trading-pipeline",
    help="A daily equity trading platform, run and watched from Dagster.",
    version=lambda: version("trading-pipeline"),
)
for _name, _place in COMMANDS.items():  # by name: a command imports only what it needs
    app.command(f"{__name__}.{_place}", name=_name)


def overview() -> App:
    """Return the app that shows what there is, each command with its sentence."""
    shown = App(name=app.name, help=app.help, version=app.version)
    for name, place in COMMANDS.items():
        shown.command(f"{__name__}.{place}", name=name, help=_sentence(place))
    return shown


def _sentence(place: str) -> str:
    """The first sentence of a command, read from its source: to import them all takes seconds."""
    module, _, wanted = place.partition(":")
    for node in ast.parse((Path(__file__).parent / f"{module}.py").read_text("utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) if name == wanted:
                return " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(keywords=given)) if (
                name == wanted
            ):
                return next(str(ast.literal_eval(g.value)) for g in given if g.arg == "help")
            case _:
                continue
    raise LookupError(place)


def main() -> NoReturn:
    """Run the command of the process's arguments and end with its exit code."""
    sys.excepthook = _tell_the_unforeseen
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a sign the terminal lacks is no reason to end
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; an error is one sentence on standard error."""
    if arguments and not arguments[0].startswith("-"):
        name_service(arguments[0])
        begin_trace()
    try:
        shown = overview() if arguments in ASKED else app
        return (
            shown(arguments, exit_on_error=False, print_error=False, result_action="return_value")
            or 0
        )
    except TradingPipelineError as error:
        return _fail(str(error), error.exit_code)
    except CycloptsError as error:
        return _fail(
            f"{str(error).strip()} See `trading-pipeline --help`.", SettingsError.exit_code
        )
    except OSError as error:
        what = error.filename or "The output"
        return _fail(f"{what} cannot be used: {error.strerror}.", SettingsError.exit_code)
    except KeyboardInterrupt:
        pass  # what it left open closes as it goes, a captured standard error too: said after that
    return _fail("Interrupted: what was done so far is kept; run again to go on.", INTERRUPTED)


def _fail(sentence: str, code: int) -> int:
    sys.stderr.write(f"trading-pipeline: {redacted(sentence)}\n")
    return code


def _tell_the_unforeseen(
    kind: type[BaseException], error: BaseException, place: TracebackType | None
) -> None:
    """Python's own traceback, without secrets."""
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, place))))
