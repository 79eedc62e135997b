"""The tune stage: `python -m refit_ray_train.tune <spec URI>`.

Ray Tune tries `num_hpo_trials` sets of parameters, the baseline's first, and stops those that do
badly. The best on the validation part is grown anew on all of train, from what was recorded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from refit_contract import Artifact, Context, RayUnavailableError, Spec, main
from refit_ray_train import booster, cluster, matrix, record, trials
from refit_ray_train.choice import Choice
from refit_ray_train.matrix import Matrix
from refit_ray_train.trials import Trial


def work(spec: Spec, context: Context) -> tuple[Mapping[str, Any], Mapping[str, Artifact]]:
    """Search for `spec`; return the figures and artifacts of the contract."""
    context.progress.report("cluster", done=0, total=spec.parameters.num_hpo_trials)
    with cluster.connected(spec, context) as ray_cluster, record.opened(spec) as run:
        data = matrix.load(context.download("train_matrix"))
        first = Choice.read(context.download("baseline_choice")).parameters
        ended = _search(spec, context, ray_cluster, data, first, run)
        context.check_deadline()
        best, choice = _choose(spec, ended)
        figures = {
            **choice.figures(),
            "trials": len(ended),
            "stopped_early": sum(trial.stopped_early for trial in ended),
            "best_trial": best.number,
        }
        parameters = choice.parameters.json()
        run.log(
            params={f"best_{name}": value for name, value in parameters.items()},
            metrics=[(name, value, 0) for name, value in figures.items()],
        )
        artifacts = _artifacts(context, data, choice, trials.json_of(ended, best_trial=best.number))
        return {**figures, "parameters": parameters, "mlflow_run_id": run.run_id}, artifacts


def _search(
    spec: Spec,
    context: Context,
    ray_cluster: cluster.Cluster,
    data: Matrix,
    first: booster.Parameters,
    run: record.Record,
) -> list[Trial]:
    from refit_ray_train import search

    total = spec.parameters.num_hpo_trials
    at_once = min(total, ray_cluster.cpus)
    threads = ray_cluster.threads(of=at_once, budget=context.cpus)
    run.log(params={"trials": total, "trials_at_once": at_once, "threads": threads})
    ended: list[Trial] = []

    def on_end(trial: Trial) -> None:
        ended.append(trial)
        best = trials.best(ended)
        message = f"best F1 {best.figures.f1:.3f}" if best and best.figures else ""
        context.progress.report("trials", done=len(ended), total=total, message=message)
        context.log.info("trial %d: %s, %s", trial.number, trial.ended, message)
        _log(run, trial)

    plan = search.Plan(
        trials=total,
        at_once=at_once,
        threads=threads,
        seed=spec.parameters.seed,
        first=first,
        grace=search.GRACE,
    )
    name = f"{spec.run}-{spec.stage}-{spec.attempt}"
    return search.run(plan, data, name=name, storage=ray_cluster.storage, on_end=on_end)


def _choose(spec: Spec, ended: list[Trial]) -> tuple[Trial, Choice]:
    best = trials.best(ended)
    if best is None or best.figures is None:
        raise RayUnavailableError(
            f"none of the {len(ended)} trials got as far as a report; see the logs of the Ray cluster"
        )
    return best, Choice(
        parameters=best.parameters,
        rounds=best.rounds,
        seed=spec.parameters.seed,
        validation=best.figures,
    )


def _log(run: record.Record, trial: Trial) -> None:
    figures = trial.figures
    run.child(
        name=f"trial {trial.number}",
        params=trial.parameters.json(),
        metrics=[
            *record.history(trial.points),
            *(record.summary(figures, rounds=trial.rounds) if figures else ()),
            ("seconds", trial.seconds, 0),
        ],
        tags={
            "refit.trial": str(trial.number),
            "ended": trial.ended,
            "stopped_early": str(trial.stopped_early).lower(),
        },
        failed=trial.ended == "failed",
    )


def _artifacts(context: Context, data: Matrix, choice: Choice, table: Mapping[str, Any]) -> dict[str, Artifact]:
    model, all_trials = context.scratch / "tuned.ubj", context.scratch / "trials.json"
    model.write_bytes(
        booster.refit(
            data,
            parameters=choice.parameters,
            rounds=choice.rounds,
            seed=choice.seed,
            threads=context.cpus,
        )
    )
    all_trials.write_text(json.dumps(table, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return {
        "tuned": context.upload(model),
        "tuned_choice": context.upload(choice.write(context.scratch / "tuned.json")),
        "trials": context.upload(all_trials),
    }


if __name__ == "__main__":
    sys.exit(main("tune", work))
