"""The JSON documents of models: signals on demand, a training, and the versions there are."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

from pydantic import FiniteFloat

from trading_pipeline.core.market.checks import CheckOutcome
from trading_pipeline.flows.day_report import Document, Moment
from trading_pipeline.flows.history import Version
from trading_pipeline.flows.signals import Answer
from trading_pipeline.flows.trained import Trained


class SignalRow(Document):
    """What is said of one symbol; a score says whom to prefer and is no forecast of a return."""

    symbol: str
    prediction: FiniteFloat | None
    """Of the model, in deviations of the label across a session; null where several are asked."""
    score: FiniteFloat
    rank: int
    """1 is the highest score."""
    target_weight: FiniteFloat
    """Share of capital, negative for a short."""


class SignalsReport(Document):
    """Signals and target weights of the symbols that were asked for, the highest score first."""

    version: Literal[1] = 1
    as_of_date: date
    strategy: str
    model_version: dict[str, str]
    """By the name of each model that was asked: number and checksum."""
    num_signals: int
    generated_at: Moment
    top_n: int
    bottom_n: int
    missing: tuple[str, ...]
    """Symbols that were asked for and have no data in the session."""
    signals: tuple[SignalRow, ...]


class GateRow(Document):
    """Whether a gate was passed, and what it found."""

    name: str
    passed: bool
    found: str


class TrainingReport(Document):
    """A training: what was found out of sample, and what the gates say of the model."""

    version: Literal[1] = 1
    strategy: str
    model_version: str
    """Its number in the registry."""
    run_id: str
    sha256: str
    as_of_date: date
    first_session: date
    """The first session judged out of sample; `last_session` is the last."""
    last_session: date
    symbols: tuple[str, ...]
    metrics: dict[str, FiniteFloat]
    """Out of sample; those inside training begin with train_ and valid_."""
    gates: tuple[GateRow, ...]
    summary: str
    page: str
    """Where the page with all figures and plots lies."""


class VersionRow(Document):
    """A registered model version and the last time it traded."""

    model_version: str
    status: Literal["active", "was active", "challenger", "registered"]
    trained_through: str
    activated_at: Moment | None
    deactivated_at: Moment | None
    by: str | None
    reason: str | None
    sha256: str


class HistoryReport(Document):
    """Every version of a strategy's model: the active one first, then those that were."""

    version: Literal[1] = 1
    strategy: str
    versions: tuple[VersionRow, ...]


def signals_report(answer: Answer, *, now: datetime) -> SignalsReport:
    """The document of signals on demand."""
    return SignalsReport(
        as_of_date=answer.session,
        strategy=answer.strategy,
        model_version=dict(answer.versions),
        num_signals=answer.rows.height,
        generated_at=now,
        top_n=answer.names.top_n,
        bottom_n=answer.names.shorts,
        missing=answer.missing,
        signals=tuple(SignalRow(**row) for row in answer.rows.to_dicts()),
    )


def training_report(
    trained: Trained, outcomes: Sequence[CheckOutcome], *, page: str
) -> TrainingReport:
    """The document of a training."""
    judged, card = trained.judged, trained.card
    return TrainingReport(
        strategy=card.strategy,
        model_version=trained.version.version,
        run_id=trained.version.run_id,
        sha256=card.sha256,
        as_of_date=card.trained_through,
        first_session=judged.walk.test.first,
        last_session=judged.walk.test.last,
        symbols=card.symbols,
        metrics=judged.metrics,
        gates=tuple(
            GateRow(name=one.name, passed=one.passed, found=one.sentence) for one in outcomes
        ),
        summary=judged.sentence(),
        page=page,
    )


def history_report(strategy: str, found: Sequence[Version]) -> HistoryReport:
    """The document of the versions there are."""
    return HistoryReport(
        strategy=strategy,
        versions=tuple(
            VersionRow(
                model_version=one.version,
                status=one.status,
                trained_through=one.trained_through,
                activated_at=one.activated_at,
                deactivated_at=one.deactivated_at,
                by=one.by or None,
                reason=one.reason or None,
                sha256=one.sha256,
            )
            for one in found
        ),
    )
