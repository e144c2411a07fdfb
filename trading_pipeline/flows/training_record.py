"""What of a training goes on record in the registry: card, parameters, figures, artifacts, tags."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from trading_pipeline.adapters.model_store import RunRecord, TrainingRun
from trading_pipeline.core.models.dataset import Split
from trading_pipeline.core.models.release import ModelCard, checksum
from trading_pipeline.flows.trained import Judged, Training, fold_metrics

_TRIED: Final = "sharpes_tried"
_TRIAL: Final = "trial"


def card_of(judged: Judged) -> ModelCard:
    """The card of the model that will trade."""
    training, fitted = judged.training, judged.final
    return ModelCard(
        strategy=training.strategy,
        sha256=checksum(fitted.model.text),
        features=fitted.model.features,
        feature_version=fitted.model.feature_version,
        label=training.rules.label,
        symbols=training.symbols,
        trained_from=fitted.split.train[0],
        last_label=fitted.split.valid[-1],
        trained_through=training.as_of,
        best_iteration=fitted.model.best_iteration,
        normalization=judged.rules.normalization.features,
        target=judged.rules.normalization.target,
        metrics=judged.evidence,
    )


def record_of(judged: Judged, page: str, pictures: Mapping[str, str]) -> RunRecord:
    """The run of the training; `page` is the report that shows it, `pictures` its plots as SVG."""
    plots = {f"plots/{name}.svg": picture for name, picture in pictures.items()}
    return RunRecord(
        params=_params(judged),
        metrics=judged.metrics,
        folds=[fold_metrics(fold) for fold in judged.walk.folds],
        artifacts=_artifacts(judged) | plots | {"report.html": page},
        tags=_tags(judged),
        curves=judged.final.model.curves,
    )


def sharpes_on_record(runs: Iterable[TrainingRun], training: Training) -> list[float]:
    """The Sharpe ratios of everything else that was tried as of the same session, on record.

    The same training made again is one trial, and not counted here.
    """
    found: dict[str, list[float]] = {}
    for run in runs:
        if run.params.get("as_of") == str(training.as_of) and (said := run.tags.get(_TRIED)):
            found[run.tags.get(_TRIAL, run.run_id)] = [float(one) for one in said.split(",")]
    found.pop(_key(training), None)
    return [ratio for ratios in found.values() for ratio in ratios]


def _params(judged: Judged) -> Mapping[str, object]:
    training = judged.training
    asked = {
        "symbols": ",".join(training.symbols),
        "as_of": training.as_of,
        "convention": training.convention,
    }
    return judged.rules.parameters() | asked


def _key(training: Training) -> str:
    """What is the same for the same training made again."""
    rules = training.rules.model_dump_json(exclude={"promotion", "cache_mib"})
    said = f"{rules} {training.symbols} {training.as_of} {training.convention}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _tags(judged: Judged) -> dict[str, str]:
    dataset, training = judged.dataset, judged.training
    own = [judged.ranking.sharpe, *(trial.sharpe for trial in judged.trials)]
    tags = {
        "strategy": training.strategy,
        "feature_version": dataset.feature_version,
        "data_from": str(dataset.sessions()[0]),
        "data_through": str(training.as_of),
        "data_rows": str(len(dataset.rows)),
        "data_digest": dataset.digest(),
        _TRIAL: _key(training),
        _TRIED: ",".join(f"{ratio:.4f}" for ratio in own if ratio is not None),
        "mlflow.source.name": "trading_pipeline",
        "mlflow.note.content": judged.sentence(),
    }
    if training.revision:
        tags["mlflow.source.git.commit"] = training.revision
    return tags


def _artifacts(judged: Judged) -> dict[str, str]:
    model = judged.final.model
    trials = [
        {"rank_ic": one.rank_ic, "sharpe": one.sharpe, **one.params.model_dump()}
        for one in judged.trials
    ]
    return {
        "learning_curves.json": _json(model.curves),
        "importance.json": _json(model.importance),
        "daily_ic.csv": judged.walk.daily.write_csv(),
        "splits.json": _json({name: _ends(its) for name, its in judged.splits.items()}),
        **({"trials.json": _json(trials)} if trials else {}),
    }


def _ends(split: Split) -> dict[str, tuple[str, str]]:
    windows = {"train": split.train, "valid": split.valid, "test": split.test}
    return {name: (str(its[0]), str(its[-1])) for name, its in windows.items() if its}


def _json(content: Mapping[str, object] | Sequence[Mapping[str, object]]) -> str:
    return json.dumps(content, indent=1)
