"""The train and tune stages: XGBoost on the training matrix, on a Ray cluster.

`python -m refit_ray_train.train <spec URI>` fits the baseline through Ray Train;
`python -m refit_ray_train.tune <spec URI>` looks for better parameters through Ray Tune. Both
choose on the validation part of train and hand over a booster refitted on all of train. Importing
this package does nothing.
"""

from __future__ import annotations
