"""Save models of this version, for later versions to load.

Run once for each version that changes what is saved, with the oldest supported
dependencies, since older ones can't read what newer ones have written:

    python tests/data/make_models.py
"""

import pickle
from pathlib import Path

import numpy as np
import skops.io
from sklearn.datasets import load_iris

import skmlp
from skmlp import MLPClassifierManual

HERE = Path(__file__).parent


def models():
    """A model of each kind, with what it predicts for every tenth flower."""
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    labels = np.column_stack([y == 0, y > 1])
    settings = {"max_iter": 20, "learning_rate_init": 0.05, "random_state": 0}
    yield "softmax", MLPClassifierManual((6, 4), "tanh", **settings).fit(X, names)
    yield "multilabel", MLPClassifierManual(5, **settings).fit(X, labels)
    stream = MLPClassifierManual(5, **settings)
    for _ in range(3):
        stream.partial_fit(X, y, classes=[0, 1, 2])
    yield "partial_fit", stream


if __name__ == "__main__":
    X, y = load_iris(return_X_y=True)
    for kind, model in models():
        stem = f"{kind}-{skmlp.__version__}"
        (HERE / f"{stem}.pickle").write_bytes(pickle.dumps(model, protocol=4))
        skops.io.dump(model, HERE / f"{stem}.skops")
        np.save(HERE / f"{stem}.npy", model.predict_proba(X[::10]))
