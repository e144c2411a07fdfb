"""Clean: the quality gate over the raw bars of sessions, and the checks that may end the day."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.core.market.announcements import compare, credible
from trading_pipeline.core.market.calendar import session_window
from trading_pipeline.core.market.checks import CheckOutcome, listed
from trading_pipeline.core.market.corporate_actions import Convention
from trading_pipeline.core.market.expected import LOOK_BACK, absent
from trading_pipeline.core.market.freshness import FreshnessRules, Late, check_freshness
from trading_pipeline.core.market.quality import Gated, QualityRules, check_sessions, gate
from trading_pipeline.core.market.restatements import current, known_actions
from trading_pipeline.core.market.verdicts import RULE, apply, by_rule, in_force, still_meant
from trading_pipeline.core.market.watch import WatchRules, watch
from trading_pipeline.errors import MissingDataError
from trading_pipeline.flows.confirm import SecondVendor, confirm
from trading_pipeline.flows.quarantine import record
from trading_pipeline.flows.window import checked, missing_sessions, rows_of, span

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """By what bars are judged, and with what knowledge: that of `as_known_at`, or all there is."""

    quality: QualityRules
    freshness: FreshnessRules
    convention: Convention
    watch: WatchRules = field(default_factory=WatchRules)
    as_known_at: datetime | None = None


class Outcomes(Mapping[date, list[CheckOutcome]]):
    """The checks coverage, quarantine, freshness and WATCHES of each session, made when looked up.

    A history of years is written for the sake of one session, whose checks alone are asked for.
    """

    def __init__(
        self,
        sessions: Sequence[date],
        gated: Gated,
        bars: pl.DataFrame,
        rules: GateRules,
    ) -> None:
        """Take the bars up to the last session, and what the gate made of them."""
        self._sessions = dict.fromkeys(sessions)
        self._gated, self._rules = gated, rules
        self._bars = bars.sort("session", maintain_order=True)

    def of(self, sessions: Iterable[date]) -> dict[date, list[CheckOutcome]]:
        """The checks of some of the sessions, made at once; KeyError for any other."""
        asked = sorted(set(sessions))
        if others := [session for session in asked if session not in self._sessions]:
            raise KeyError(others[0])
        bars = _cut(self._bars, session_window(asked[0], LOOK_BACK + 1)[0], asked[-1])
        gated, away = self._between(asked[0], asked[-1]), absent(bars, asked)
        judged = check_sessions(asked, gated, away, self._rules.quality)
        fresh = self._fresh(asked, bars, away)
        seen = watch(asked, bars, gated.suspects, self._rules.watch)
        return {session: [*judged[session], fresh[session], *seen[session]] for session in asked}

    def _fresh(
        self, asked: list[date], bars: pl.DataFrame, away: pl.DataFrame
    ) -> dict[date, CheckOutcome]:
        late = dict[date, list[Late]]()
        for symbol, session, last, behind in away.iter_rows():
            late.setdefault(session, []).append((symbol, last, behind))
        came = dict(bars.group_by("session").agg(pl.col("symbol").n_unique()).iter_rows())
        found = dict[date, CheckOutcome]()
        for session in asked:
            its = late.get(session, [])
            expected = came.get(session, 0) + len(its)
            found[session] = check_freshness(session, its, expected, self._rules.freshness)
        return found

    def __getitem__(self, session: date) -> list[CheckOutcome]:
        return self.of([session])[session]

    def _between(self, first: date, last: date) -> Gated:
        """What the gate made of the sessions first…last, found without a look at any other."""
        return Gated(
            clean=_cut(self._gated.clean, first, last),
            quarantined=_cut(self._gated.quarantined, first, last),
            suspects=_cut(self._gated.suspects, first, last),
        )

    def __iter__(self) -> Iterator[date]:
        return iter(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)


def _cut(rows: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    """The rows of first…last, of rows sorted by session, without a copy."""
    start = rows["session"].search_sorted(first, "left")
    return rows[start : rows["session"].search_sorted(last, "right")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """The asked sessions after the gate: the tables as written, and each session's checks.

    second_words: what a second vendor said that is new, shaped like bar_verdicts.
    """

    clean: pl.DataFrame
    quarantined: pl.DataFrame
    action_checks: pl.DataFrame
    second_words: pl.DataFrame
    outcomes: Outcomes


def clean(
    lake: Lake,
    *,
    symbols: Sequence[str],
    sessions: Iterable[date],
    rules: GateRules,
    second: SecondVendor | None = None,
) -> Cleaned:
    """Part the raw bars of these sessions into clean and quarantined ones, and check each session.

    Expected in a session is every asked symbol with a raw bar in it or in the LOOK_BACK sessions
    before it, so that a stock counts from its listing on. Both tables are written whatever the
    checks say. A range gives what its sessions give one by one, unless a symbol paused for longer
    than the look-back. Raises MissingDataError where raw bars or actions of a session are not held.

    What these sessions say of earlier suspects is recorded, and a bar that turns out to have been
    an error leaves its own session. A `second` vendor is asked about the suspects of the sessions.
    The same raw rows, known at the same time, give the same bytes.
    """
    asked = checked(sessions)
    for table in ("raw_bars", "corporate_actions"):
        if missing := missing_sessions(lake, table, asked, symbols=symbols):
            raise MissingDataError(
                f"{table} of {listed([str(session) for session in missing])} is not held: ingest"
                f" it first for {listed(sorted(symbols))}."
            )
    reach = (session_window(asked[0], LOOK_BACK + 1)[0], asked[-1])
    known = rules.as_known_at
    raw = lake.read("raw_bars", *reach, symbols=symbols)
    announced = lake.read("corporate_actions", *reach, symbols=symbols)
    bars, actions = current(raw, known), known_actions(announced, known)
    checks = compare(bars, actions)
    actions = credible(actions, checks)
    whole = gate(bars, actions, rules.quality, convention=rules.convention)
    settled = by_rule(_settled_in(whole.suspects, asked), bars)
    changed = record(lake, settled)
    said = (
        confirm(lake, second, rows_of(whole.suspects, asked), bars) if second else settled.clear()
    )
    verdicts = in_force(
        still_meant(lake.read("bar_verdicts", *reach, symbols=symbols), _known(raw, known)), known
    )
    gated, checked_actions = _of(apply(whole, verdicts), asked), rows_of(checks, asked)
    lake.write("quarantined_bars", gated.quarantined, asked, symbols=symbols)
    lake.write("clean_bars", gated.clean, asked, symbols=symbols)
    lake.write("action_checks", checked_actions, asked, symbols=symbols)
    _log.info(
        "bars gated",
        extra={"clean": len(gated.clean), "quarantined": len(gated.quarantined)} | span(asked),
    )
    _clean_again(lake, changed.filter(pl.col("session") < asked[0]), rules)
    # A check says what was to be seen in the session: what its next bar made of it came later.
    seen = apply(whole, verdicts.filter(pl.col("decided_by") != RULE))
    return Cleaned(
        clean=gated.clean,
        quarantined=gated.quarantined,
        action_checks=checked_actions,
        second_words=said,
        outcomes=Outcomes(asked, seen, bars, rules),
    )


def _known(raw: pl.DataFrame, at: datetime | None) -> pl.DataFrame:
    return raw if at is None else raw.filter(pl.col("known_at") <= at)


def _settled_in(suspects: pl.DataFrame, asked: list[date]) -> pl.DataFrame:
    """The suspects whose own session or whose next bar's is asked for."""
    own, by = (pl.col(name).is_in(asked) for name in ("session", "decided_in"))
    return suspects.filter(own | by)


def _clean_again(lake: Lake, changed: pl.DataFrame, rules: GateRules) -> None:
    """Judge earlier sessions once more of which something new was said."""
    for session in changed["session"].unique().sort():
        names = changed.filter(session=session)["symbol"].unique().sort().to_list()
        if lake.held("clean_bars", session, session, symbols=names):
            clean(lake, symbols=names, sessions=[session], rules=rules)


def _of(gated: Gated, asked: list[date]) -> Gated:
    return Gated(
        clean=rows_of(gated.clean, asked),
        quarantined=rows_of(gated.quarantined, asked),
        suspects=rows_of(gated.suspects, asked),
    )
