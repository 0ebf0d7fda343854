"""Models of earlier versions, and of other processes, predict what they did there."""

import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris

from skmlp import MLPClassifierManual

DATA = Path(__file__).parent / "data"
SAVED = sorted(path.stem for path in DATA.glob("*.npy"))

PREDICT = """
import sys, joblib, numpy as np
X = np.load(sys.argv[2])
np.save(sys.argv[3], joblib.load(sys.argv[1]).predict_proba(X))
"""


def test_there_are_saved_models_of_every_kind():
    assert {stem.split("-")[0] for stem in SAVED} == {
        "softmax",
        "multilabel",
        "partial_fit",
    }


# they were saved with the oldest scikit-learn
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("suffix", ["pickle", "skops"])
@pytest.mark.parametrize("stem", SAVED)
def test_models_of_earlier_versions_load(stem, suffix):
    path = DATA / f"{stem}.{suffix}"
    if suffix == "pickle":
        model = pickle.loads(path.read_bytes())
    else:
        trusted = ["skmlp._classifier.MLPClassifierManual"]
        assert skops.io.get_untrusted_types(file=path) == trusted
        model = skops.io.load(path, trusted=trusted)
    X, y = load_iris(return_X_y=True)
    assert_allclose(
        model.predict_proba(X[::10]), np.load(DATA / f"{stem}.npy"), rtol=1e-12, atol=1e-15
    )
    if stem.startswith("partial_fit"):
        again = MLPClassifierManual(
            5,
            learning_rate_init=0.05,
            max_iter=20,
            random_state=0,
        )
        for _ in range(4):
            again.partial_fit(X, y, classes=[0, 1, 2])
        model.partial_fit(X, y)
        assert_allclose(model.coefs_[0], again.coefs_[0], rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_another_process_predicts_the_same_bits(digits, dtype, tmp_path):
    X, y = digits
    X = X.astype(dtype)
    model = MLPClassifierManual((20, 10), solver="lbfgs", alpha=1.0, random_state=0)
    with pytest.warns(match="max_iter=5"):
        model.set_params(max_iter=5).fit(X, y)
    names = [str(tmp_path / name) for name in ("model.joblib", "X.npy", "proba.npy")]
    joblib.dump(model, names[0])
    np.save(names[1], X)
    subprocess.run([sys.executable, "-W", "error", "-c", PREDICT, *names], check=True)
    assert_array_equal(np.load(names[2]), model.predict_proba(X))
