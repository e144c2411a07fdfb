"""What is trained and what models are judged on, by the settings; for jobs and commands alike."""

from datetime import date

from trading_pipeline.adapters.lake import Lake
from trading_pipeline.flows.judge import Bench
from trading_pipeline.flows.train import Training
from trading_pipeline.settings import Settings, source_revision


def training_of(settings: Settings, as_of: date) -> Training:
    """What to train as of a session."""
    return Training(
        strategy=settings.strategy,
        symbols=settings.symbols,
        as_of=as_of,
        rules=settings.training,
        convention=settings.adjustment,
        revision=source_revision(),
    )


def bench_of(settings: Settings, lake: Lake, through: date) -> Bench:
    """What models are judged on, up to a session."""
    rules = settings.training.promotion
    return Bench(lake=lake, rules=rules, convention=settings.adjustment, through=through)
