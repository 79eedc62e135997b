"""The train stage: `python -m refit_ray_train.train <spec URI>`.

The baseline: XGBoost with fixed parameters through Ray Train. The number of rounds and the
decision threshold are chosen on the validation part; the model is then grown on all of train.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from refit_contract import Artifact, Context, Spec, main
from refit_ray_train import cluster, matrix, record
from refit_ray_train.booster import Parameters
from refit_ray_train.choice import Choice
from refit_ray_train.matrix import Matrix

_STEPS = 3


def work(spec: Spec, context: Context) -> tuple[Mapping[str, Any], Mapping[str, Artifact]]:
    """Fit the baseline of `spec`; return the figures and artifacts of the contract."""
    context.progress.report("cluster", done=0, total=_STEPS)
    with cluster.connected(spec, context) as ray_cluster, record.opened(spec) as run:
        data = matrix.load(context.download("train_matrix"))
        context.progress.report("fit", done=1, total=_STEPS)
        return _fit(spec, context, ray_cluster, data, run)


def _fit(
    spec: Spec, context: Context, ray_cluster: cluster.Cluster, data: Matrix, run: record.Record
) -> tuple[Mapping[str, Any], Mapping[str, Artifact]]:
    from refit_ray_train import distributed

    parameters, workers, seed = Parameters(), spec.parameters.num_workers, spec.parameters.seed
    threads = ray_cluster.threads(of=workers, budget=context.cpus)
    run.log(params={**parameters.json(), "workers": workers, "threads": threads})
    made = distributed.train(
        distributed.Task(
            parameters=parameters,
            seed=seed,
            threads=threads,
            cpus=ray_cluster.request(of=workers, threads=threads),
        ),
        data,
        workers=workers,
        name=f"{spec.run}-{spec.stage}-{spec.attempt}",
        storage=ray_cluster.storage,
    )
    fit = made.fit
    context.log.info("validation F1 %.4f after %d rounds", fit.figures.f1, fit.rounds)
    run.log(metrics=[*record.history(fit.points), *record.summary(fit.figures, rounds=fit.rounds)])
    context.progress.report("write", done=2, total=_STEPS)
    choice = Choice(parameters=parameters, rounds=fit.rounds, seed=seed, validation=fit.figures)
    model = context.scratch / "baseline.ubj"
    model.write_bytes(made.model)
    figures = {**choice.figures(), "workers": workers, "mlflow_run_id": run.run_id}
    return figures, {
        "baseline": context.upload(model),
        "baseline_choice": context.upload(choice.write(context.scratch / "baseline.json")),
    }


if __name__ == "__main__":
    sys.exit(main("train", work))
