"""The page of a training: its figures out of sample, its folds and its plots, in one file."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import isfinite
from operator import mul
from pathlib import Path
from typing import Any, Final

from trading_pipeline.adapters import plots, report_files
from trading_pipeline.core.models.evaluation import Mean
from trading_pipeline.core.models.walk import Fold
from trading_pipeline.flows.trained import Judged, Trained

TEMPLATE: Final = "training_report.html.j2"
SHOWN_TRIALS: Final = 20


def page_of(judged: Judged, shown: Mapping[str, str]) -> str:
    """Return the page with its `pictures` as HTML that needs no other file."""
    return report_files.render_html(_document(judged), shown, template=TEMPLATE)


def save_page(trained: Trained, reports: Path) -> Path:
    """Write the page to `<reports>/models/<strategy>/<version>.html` and return the path."""
    its = trained.version
    return report_files.write_text(
        reports / "models" / its.strategy / f"{its.version}.html", trained.page
    )


def pictures(judged: Judged) -> dict[str, str]:
    """Return the page's plots as `<svg>`; one that has nothing to show is absent."""
    daily, model, its = judged.walk.daily, judged.final.model, judged.ranking
    correlations = {"IC": daily["ic"].to_list(), "rank IC": daily["rank_ic"].to_list()}
    wealth = [value - 1 for value in accumulate([1 + r for r in its.net], mul)]
    figures = {
        "ic": plots.cumulative_ic(daily["session"].to_list(), correlations),
        "learning_curves": plots.learning_curves(model.curves, best=model.best_iteration),
        "importance": plots.importance(model.importance),
        "wealth": plots.curves(its.sessions, {"net": wealth}, name="wealth"),
        "buckets": plots.bars(
            {str(place): mean for place, mean in enumerate(its.buckets, 1)}, name="buckets"
        ),
    }
    if its.decay:
        decay = {str(one.horizon): one.rank_ic.value for one in its.decay}
        figures["decay"] = plots.bars(decay, name="decay")
    return {name: plots.to_svg(figure) for name, figure in figures.items()}


def _document(judged: Judged) -> dict[str, Any]:
    training, test, its = judged.training, judged.walk.test, judged.ranking
    low, high = its.sharpe_interval or (None, None)
    return {
        "strategy": training.strategy,
        "as_of": str(training.as_of),
        "summary": judged.sentence(),
        "first": str(test.first),
        "last": str(test.last),
        "sessions": test.sessions,
        "symbols": training.symbols,
        "fewest": test.fewest,
        "most": test.most,
        "ic": _mean(test.ic),
        "rank_ic": _mean(test.rank_ic),
        "spread": _mean(its.spread),
        "errors": {"mae": test.mae, "rmse": test.rmse, "r2": test.r2},
        "turnover": its.turnover,
        "cost_bps": its.cost_bps,
        "sharpe": its.sharpe,
        "sharpe_low": low,
        "sharpe_high": high,
        "deflated": its.deflated,
        "trials": its.trials,
        "decay": [{"horizon": one.horizon, **_mean(one.rank_ic)} for one in its.decay],
        "folds": [_fold(fold) for fold in judged.walk.folds],
        "searched": _trials(judged),
        "parameters": {
            **judged.rules.parameters(),
            "convention": training.convention,
            "feature_version": judged.dataset.feature_version,
            "revision": training.revision or "unknown",
        },
    }


def _fold(fold: Fold) -> dict[str, Any]:
    return {
        "trained": f"{fold.split.train[0]} to {fold.split.train[-1]}",
        "tested": f"{fold.split.test[0]} to {fold.split.test[-1]}",
        "rounds": fold.best_iteration,
        "train": fold.train.rank_ic.value,
        "valid": fold.valid.rank_ic.value,
        "test": _mean(fold.test.rank_ic),
    }


def _trials(judged: Judged) -> Sequence[dict[str, Any]]:
    return [
        {"rank_ic": one.rank_ic, "sharpe": one.sharpe, "params": one.params.model_dump()}
        for one in judged.trials[:SHOWN_TRIALS]
    ]


def _mean(its: Mean) -> dict[str, float | None]:
    figures = {"value": its.value, "ratio": its.ratio, "t": its.t, "low": its.low, "high": its.high}
    return {name: value if isfinite(value) else None for name, value in figures.items()}
