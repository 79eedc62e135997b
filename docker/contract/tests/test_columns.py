from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import refit_contract
from refit_contract import FEATURES, KEYS, VIEWS


def test_there_are_524_features_in_five_views() -> None:
    """Names are unique, none is a key, and the views come in the order of the matrix."""
    assert {view: len(names) for view, names in VIEWS.items()} == {
        "email_text_features": 8,
        "email_structural_features": 8,
        "email_temporal_features": 4,
        "sender_domain_features": 4,
        "email_tfidf_features": 500,
    }
    assert len(set(FEATURES)) == len(FEATURES) == 524
    assert not set(FEATURES) & set(KEYS)
    assert not [name for name in FEATURES if name.startswith("x_spam")]


def test_the_package_exports_what_it_lists() -> None:
    """Every exported name exists, and the list is sorted."""
    assert all(hasattr(refit_contract, name) for name in refit_contract.__all__)
    assert len(set(refit_contract.__all__)) == len(refit_contract.__all__)


def test_importing_loads_nothing_heavy() -> None:
    """The package is read by every workload: importing it brings no numeric or cloud library."""
    heavy = ("numpy", "polars", "pyarrow", "boto3", "jsonschema", "mlflow", "ray", "feast")
    code = f"import refit_contract, sys; print([m for m in {heavy} if m in sys.modules])"

    home = Path(refit_contract.__file__).parents[1]

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=home)

    assert done.stdout.strip() == "[]"
