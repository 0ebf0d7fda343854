"""Input gradients against differences; contributions against integrals, and their sums."""

import pickle
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
from common import short, short_fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from skmlp import MLPClassifierManual, MLPRegressorManual, _inference, _objective
from skmlp._activations import ACTIVATIONS
from skmlp._network import Network
from skmlp.inspection import (
    _path,
    attributions,
    input_gradients,
)
from skmlp.inspection._path import Paths

HIDDEN = [(), (7,), (6, 5), (5, 4, 6)]
RESPONSES = ["logits", "decision_function", "predict_proba"]
ONE_BLOCK, SMALL_BLOCKS = 2**21, 2**12

pytestmark = short_fits


def make_model(hidden=(7,), activation="tanh", n_classes=3, dtype=float, **params):
    """A fitted net and its 40 rows of 4 features; 0 classes are three labels a row."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4)).astype(dtype)
    y = np.arange(40) % n_classes if n_classes else rng.integers(2, size=(40, 3))
    settings = {"alpha": 0.1, "max_iter": 15, "solver": "lbfgs", "random_state": 0}
    model = MLPClassifierManual(hidden, activation, **(settings | params))
    return model.fit(X, y), X


def respond(model, X, response_method):
    """The outputs of a response, by way of the estimator's other methods."""
    if response_method == "predict_proba":
        return model.predict_proba(X)
    if response_method == "decision_function":
        decision = model.decision_function(X)
        return np.c_[-decision, decision] if decision.ndim == 1 else decision
    H = model.transform(X)
    return H @ model.coefs_[-1] + model.intercepts_[-1]


def differences(f, X, step=1e-6):
    """Central differences of the outputs of each row, of shape (n, K, d)."""
    slopes = []
    for m in range(X.shape[1]):
        move = np.zeros(X.shape[1])
        move[m] = step
        slopes.append((f(X + move) - f(X - move)) / (2 * step))
    return np.stack(slopes, axis=2)


@pytest.mark.parametrize("response_method", RESPONSES)
@pytest.mark.parametrize("n_classes", [0, 1, 2, 3])
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_those_of_differences(activation, hidden, n_classes, response_method):
    model, X = make_model(hidden, activation, n_classes)
    gradients = input_gradients(model, X, response_method=response_method)
    assert gradients.shape == (40, n_classes or 3, 4)
    expected = differences(lambda X: respond(model, X, response_method), X)
    assert_allclose(gradients, expected, atol=1e-7, rtol=1e-6)
    # few rows go another way through the top layer
    assert_allclose(
        input_gradients(model, X[:2], response_method=response_method),
        gradients[:2],
        atol=1e-13,
    )


@pytest.mark.parametrize("hidden", HIDDEN)
def test_gradient_of_any_functions_of_the_logits(hidden):
    rng = np.random.default_rng(0)
    network = Network((4, *hidden, 3), "logistic")
    parameters = network.parameters(rng.normal(size=network.n_parameters))
    X, C = rng.normal(size=(30, 4)), rng.normal(size=(2, 3))
    gradient = np.full((30, 2, 4), np.nan)
    network.input_gradient(parameters, X, lambda Z: np.cos(Z)[:, np.newaxis] * C, gradient)
    expected = differences(lambda X: np.sin(network.activations(parameters, X)) @ C.T, X)
    assert_allclose(gradient, expected, atol=1e-8)


def test_targets():
    model, X = make_model()
    model.classes_ = np.array(["a", "b", "c"])
    of_all = input_gradients(model, X)
    assert_array_equal(input_gradients(model, X, target=["c", "a"]).shape, (40, 2, 4))
    assert_allclose(input_gradients(model, X, target=["c", "a"]), of_all[:, [2, 0]])
    assert_allclose(input_gradients(model, X, target="b"), of_all[:, 1])
    result = attributions(model, X)
    of_two = attributions(model, X, target=["c", "a"])
    of_one = attributions(model, X, target="b")
    assert list(of_two.targets) == ["c", "a"]
    assert of_one.targets == "b"
    for name in ("contributions", "responses", "completeness_errors"):
        assert_allclose(of_two[name], result[name][:, [2, 0]], atol=1e-12)
        assert_allclose(of_one[name], result[name][:, 1], atol=1e-12)
    assert_allclose(of_two.base_values, result.base_values[[2, 0]])
    assert_allclose(of_one.base_values, result.base_values[1])


def integrals(model, X, baseline, **options):
    """Contributions as they are defined, by Simpson's rule; all points are rows at once."""
    times = np.linspace(0, 1, 401)[:, np.newaxis, np.newaxis, np.newaxis]
    weights = np.r_[1, np.tile([4, 2], 199), 4, 1] / 1200
    baseline = baseline[:, np.newaxis]
    points = baseline + times * (X - baseline)
    gradients = input_gradients(model, points.reshape(-1, X.shape[1]), **options)
    gradients = gradients.reshape(*points.shape[:3], -1, X.shape[1])
    mean = np.tensordot(weights, gradients, 1)
    return ((X - baseline)[:, :, np.newaxis] * mean).mean(axis=0)


@pytest.mark.parametrize("response_method", RESPONSES)
@pytest.mark.parametrize("n_classes", [0, 2, 3])
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("activation", ["logistic", "tanh", "identity"])
def test_contributions_are_integrals_and_add_up(
    activation, hidden, n_classes, response_method
):
    model, X = make_model(hidden, activation, n_classes)
    X, baseline = X[:6], X[-3:]
    options = {"response_method": response_method}
    # tol is relative to what units contribute, some times as much as the differences
    result = attributions(model, X, baseline=baseline, tol=1e-7, **options)
    responses = respond(model, X, response_method)
    base_values = respond(model, baseline, response_method).mean(axis=0)
    assert_allclose(result.responses, responses, atol=1e-12)
    assert_allclose(result.base_values, base_values, atol=1e-12)
    total = result.base_values + result.contributions.sum(axis=2)
    assert_allclose(responses - total, result.completeness_errors, atol=1e-12)
    scale = np.sqrt(
        np.mean(
            (responses[:, np.newaxis] - respond(model, baseline, response_method)) ** 2,
            axis=(0, 1),
        )
    )
    assert (np.abs(total - responses) <= 1e-6 * scale + 1e-12).all()
    expected = integrals(model, X, baseline, **options)
    assert_allclose(result.contributions, expected, atol=1e-5 * scale.max())


@pytest.mark.parametrize("hidden", HIDDEN)
def test_kinks_of_relu(hidden):
    model, X = make_model(hidden, "relu")
    result = attributions(model, X, baseline=X[:5], max_steps=2048)
    scale = result.responses.std()
    assert np.abs(result.completeness_errors).max() < 0.02 * scale
    if len(hidden) == 1:  # in closed form, kinks don't matter
        assert np.abs(result.completeness_errors).max() < 1e-12


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_closed_form_where_a_unit_hardly_moves(activation):
    model, X = make_model((7,), activation)
    gradients = input_gradients(model, X)
    for size in (1e-2, 1e-6, 1e-9, 1e-13):
        step = size * np.ones((1, 4))
        result = attributions(model, X[:1] + step, baseline=X[0])
        moved = (X[:1] + step - X[:1])[:, np.newaxis]
        assert_allclose(
            result.contributions / moved,
            gradients[:1],
            rtol=4 * size + 1e-9,
            atol=10 * size,
        )
    assert_array_equal(attributions(model, X[:1], baseline=X[0]).contributions, 0)


def test_steps_are_chosen_row_by_row():
    model, X = make_model((6, 5), "logistic", alpha=1e-3)
    X = np.r_[X, 1.001 * X[:5]]
    mean = X[0]
    rough = attributions(model, X, baseline=mean, tol=1e-2)
    fine = attributions(model, X, baseline=mean, tol=1e-8)
    assert set(fine.n_steps) <= {8, 16, 32, 64, 128, 256}
    assert len(set(fine.n_steps)) > 1
    assert (fine.n_steps >= rough.n_steps).all()
    assert fine.n_steps.mean() > rough.n_steps.mean()
    worst = np.abs(rough.completeness_errors).max()
    assert np.abs(fine.completeness_errors).max() < worst / 100
    # rows that were done are those of fewer steps
    capped = attributions(model, X, baseline=mean, tol=1e-2, max_steps=8 * 2)
    done = rough.n_steps <= 16
    assert_array_equal(capped.contributions[done], rough.contributions[done])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_is_no_reason_for_more_steps(dtype):
    model, X = make_model((6, 5), dtype=dtype)
    rows = np.tile(X[:1], (40, 1))
    rows[:20] *= 1 + 2 * np.finfo(dtype).eps
    assert_array_equal(attributions(model, rows, baseline=X[0]).n_steps, 8)


def test_logits_of_one_hidden_layer_take_no_steps():
    model, X = make_model()
    assert_array_equal(attributions(model, X).n_steps, 0)
    assert (attributions(model, X, response_method="predict_proba").n_steps >= 8).all()
    log_odds = attributions(make_model(n_classes=2)[0], X, response_method=RESPONSES[1])
    assert_array_equal(log_odds.n_steps, 0)


def test_contributions_that_do_not_add_up_warn():
    model, X = make_model((6, 5), "relu")
    with pytest.warns(
        ConvergenceWarning, match=r"rows do not add up .* max_steps=31"
    ) as log:
        result = attributions(model, X, tol=1e-7, max_steps=31)
    assert set(result.n_steps) == {8, 16} or set(result.n_steps) == {16}
    largest = np.abs(result.completeness_errors).max()
    assert f"{largest:.2g}" in str(log[0].message)


def test_several_baselines_are_their_mean():
    model, X = make_model((6, 5))
    options = {"response_method": "predict_proba", "tol": 1e-10}
    together = attributions(model, X[:9], baseline=X[-3:], **options)
    single = [attributions(model, X[:9], baseline=b, **options) for b in X[-3:]]
    swapped = attributions(model, X[:9], baseline=X[:-4:-1], **options)
    assert_array_equal(together.n_steps, swapped.n_steps)
    assert len(set(together.n_steps)) > 1
    mean = np.mean([result.contributions for result in single], axis=0)
    assert_allclose(together.contributions, mean, atol=1e-9)
    assert_allclose(
        together.base_values, np.mean([result.base_values for result in single], axis=0)
    )


def test_baseline_by_default_is_the_mean_in_training():
    model, X = make_model()
    result = attributions(model, X)
    expected = attributions(model, X, baseline=X.mean(axis=0))
    assert_allclose(result.contributions, expected.contributions, atol=1e-12)
    plain, _ = make_model(standardize=False)
    with pytest.raises(ValueError, match=r"baseline=None .* standardize=True only"):
        attributions(plain, X)
    attributions(plain, X, baseline=X[0])


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("response_method", RESPONSES)
def test_sparse_is_as_dense(hidden, response_method, container, monkeypatch):
    model, X = make_model(hidden)
    X[np.abs(X) < 0.7] = 0
    options = {"response_method": response_method}
    dense = input_gradients(model, X, **options)
    dense_result = attributions(model, X, baseline=X[:3], **options)
    for block_bytes in (ONE_BLOCK, SMALL_BLOCKS):
        monkeypatch.setattr(_objective, "_BLOCK_BYTES", block_bytes)
        assert_allclose(input_gradients(model, container(X), **options), dense, atol=1e-12)
        result = attributions(model, container(X), baseline=container(X[:3]), **options)
        assert_allclose(result.contributions, dense_result.contributions, atol=1e-12)
    assert sparse.issparse(result.features)


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("response_method", RESPONSES)
def test_blocks_of_rows_change_nothing(hidden, response_method, monkeypatch):
    model, X = make_model(hidden)
    X = np.tile(X, (5, 1)) * np.linspace(0.5, 2, 200)[:, np.newaxis]
    options = {"response_method": response_method}
    whole = input_gradients(model, X, **options)
    whole_result = attributions(model, X, **options)
    monkeypatch.setattr(_objective, "_BLOCK_BYTES", SMALL_BLOCKS)
    cut, blocks = _objective.row_blocks, []

    def spy(X, network, row_numbers):
        slices = cut(X, network, row_numbers)
        if row_numbers:  # else it is the responses that are evaluated
            blocks.append(slices)
        return slices

    monkeypatch.setattr(_inference, "row_blocks", spy)
    assert_allclose(input_gradients(model, X, **options), whole, atol=1e-12)
    result = attributions(model, X, **options)
    assert [len(cut) >= 4 for cut in blocks] == [True, True]
    assert_allclose(result.contributions, whole_result.contributions, atol=1e-12)
    assert_array_equal(result.n_steps, whole_result.n_steps)


def test_threads_change_nothing(monkeypatch):
    model, X = make_model((6, 5))
    monkeypatch.setattr(_objective, "_BLOCK_BYTES", SMALL_BLOCKS)
    results = []
    for limit in (1, 2):
        with threadpool_limits(limit):
            result = attributions(model, X, baseline=X[:3], response_method="predict_proba")
            results.append((input_gradients(model, X), result.contributions))
    assert_array_equal(*[gradients for gradients, _ in results])
    assert_array_equal(*[contributions for _, contributions in results])


def test_wide_rows_are_made_dense_few_at_a_time(monkeypatch):
    X = sparse.random(60, 4000, density=0.01, format="csr", random_state=0)
    model = short(solver="lbfgs", alpha=1.0).fit(X, np.arange(60) % 2)
    monkeypatch.setattr(_objective, "_BLOCK_BYTES", 2**16)
    sizes, contributions = [], Paths.contributions

    def spy(paths, X, values):
        sizes.append(len(X))
        return contributions(paths, X, values)

    monkeypatch.setattr(Paths, "contributions", spy)
    result = attributions(model, X, target=1)
    assert max(sizes) <= 15
    assert np.abs(result.completeness_errors).max() < 1e-10


def test_memory_map(tmp_path):
    model, X = make_model()
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_array_equal(input_gradients(model, mapped), input_gradients(model, X))
    assert_array_equal(
        attributions(model, mapped).contributions, attributions(model, X).contributions
    )


@pytest.mark.parametrize("response_method", RESPONSES)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_single_precision(hidden, response_method):
    model, X = make_model(hidden, dtype=np.float32)
    options = {"response_method": response_method}
    gradients = input_gradients(model, X, **options)
    result = attributions(model, X, baseline=X[:3].astype(float), **options)
    assert gradients.dtype == result.contributions.dtype == np.float32
    assert result.responses.dtype == result.base_values.dtype == np.float32
    double = clone(model)
    vars(double).update(vars(model))
    double.coefs_ = [W.astype(float) for W in model.coefs_]
    double.intercepts_ = [b.astype(float) for b in model.intercepts_]
    expected = input_gradients(double, X.astype(float), **options)
    assert expected.dtype == np.float64
    assert_allclose(gradients, expected, atol=1e-4, rtol=1e-4)
    expected = attributions(double, X.astype(float), baseline=X[:3], **options)
    assert_allclose(result.contributions, expected.contributions, atol=2e-3)
    assert input_gradients(model, X.astype(float)).dtype == np.float32


def test_pipeline_is_about_what_the_last_step_sees():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(3 + 5 * rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    y = np.arange(60) % 2
    net = short(solver="lbfgs", alpha=1.0)
    pipe = make_pipeline(StandardScaler(), net).fit(frame, y)
    seen = pipe[:-1].transform(frame)
    assert_array_equal(input_gradients(pipe, frame), input_gradients(pipe[-1], seen))
    for baseline in (frame.mean(), frame.iloc[:4], None):
        result = attributions(pipe, frame, baseline=baseline)
        rows = np.zeros(3) if baseline is None else seen[:4]
        rows = seen.mean(axis=0) if isinstance(baseline, pd.Series) else rows
        expected = attributions(pipe[-1], seen, baseline=rows)
        assert_allclose(result.contributions, expected.contributions, atol=1e-12)
        assert_array_equal(result.features, seen)
        assert list(result.feature_names) == ["a", "b", "c"]
    reduced = make_pipeline(StandardScaler(), PCA(2), net).fit(frame, y)
    assert list(attributions(reduced, frame).feature_names) == ["pca0", "pca1"]
    silent = make_pipeline(FunctionTransformer(np.tanh), net).fit(frame.to_numpy(), y)
    result = attributions(silent, frame.to_numpy(), baseline=frame.to_numpy()[0])
    assert list(result.feature_names) == ["x0", "x1", "x2"]
    assert list(attributions(net.fit(frame, y), frame).feature_names) == ["a", "b", "c"]
    nested = make_pipeline(make_pipeline(StandardScaler(), PCA(2)), make_pipeline(net))
    assert list(attributions(nested.fit(frame, y), frame).feature_names) == ["pca0", "pca1"]
    within = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), net))
    assert list(attributions(within.fit(frame, y), frame).feature_names) == ["a", "b", "c"]


def test_searches():
    X = np.random.default_rng(0).normal(size=(40, 4))
    y = np.arange(40) % 2
    net = short(solver="lbfgs")
    search = GridSearchCV(net, {"alpha": [0.1, 1.0]}, cv=2)
    outer = GridSearchCV(
        make_pipeline(StandardScaler(), net), {"mlpclassifiermanual__alpha": [1.0]}, cv=2
    )
    with pytest.raises(NotFittedError, match="GridSearchCV"):
        input_gradients(search, X)
    for fitted in (search, outer, make_pipeline(StandardScaler(), search)):
        fitted.fit(X, y)
    best = input_gradients(search.best_estimator_, X)
    assert_array_equal(input_gradients(search, X), best)
    assert_array_equal(
        attributions(outer, X).contributions,
        attributions(outer.best_estimator_, X).contributions,
    )
    pipe = make_pipeline(StandardScaler(), search).fit(X, y)
    seen = pipe[0].transform(X)
    assert_array_equal(
        input_gradients(pipe, X), input_gradients(search.best_estimator_, seen)
    )
    without = GridSearchCV(net, {"alpha": [1.0]}, cv=2, refit=False).fit(X, y)
    with pytest.raises(TypeError, match="search with refit=True"):
        attributions(without, X)


def test_after_pickling():
    model, X = make_model((6, 5))
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(input_gradients(loaded, X), input_gradients(model, X))
    assert_array_equal(
        attributions(loaded, X).contributions, attributions(model, X).contributions
    )


def test_after_skops():
    skops = pytest.importorskip("skops.io")
    model, X = make_model((6, 5))
    name = "skmlp._classifier.MLPClassifierManual"
    loaded = skops.loads(skops.dumps(model), trusted=[name])
    assert_array_equal(input_gradients(loaded, X), input_gradients(model, X))
    assert_array_equal(
        attributions(loaded, X).contributions, attributions(model, X).contributions
    )


@pytest.mark.skipif(not find_spec("dask"), reason="needs dask")
def test_estimator_of_partitions_is_to_be_converted():
    import dask.array as da

    from skmlp.dask import DaskMLPClassifierManual

    X = np.random.default_rng(0).normal(size=(40, 4))
    model = DaskMLPClassifierManual(5, solver="lbfgs", alpha=1.0, max_iter=5)
    parts = da.from_array(X, chunks=(20, 4))
    model.fit(parts, parts[:, 0] > 0)
    for inspect in (input_gradients, attributions):
        with pytest.raises(TypeError, match=r"pass estimator.to_local\(\)"):
            inspect(model, X)
    local = model.to_local()
    expected = differences(lambda X: respond(local, X, "logits"), X)
    assert_allclose(input_gradients(local, X), expected, atol=1e-7)
    assert_allclose(
        attributions(local, X).contributions,
        attributions(local, X, baseline=X.mean(axis=0)).contributions,
        atol=1e-10,
    )


@pytest.mark.parametrize("inspect", [input_gradients, attributions])
def test_bad_input(inspect):
    model, X = make_model()
    with pytest.raises(NotFittedError, match="not fitted"):
        inspect(MLPClassifierManual(), X)
    with pytest.raises(NotFittedError, match="not fitted"):
        inspect(make_pipeline(StandardScaler(), MLPClassifierManual()), X)
    with pytest.raises(TypeError, match=r"estimator must be an .* got LogisticRegression"):
        inspect(LogisticRegression().fit(X, X[:, 0] > 0), X)
    with pytest.raises(ValueError, match=r"X has 3 features, .* expecting 4"):
        inspect(model, X[:, :3])
    with pytest.raises(ValueError, match="X contains NaN"):
        inspect(model, np.where(X > 0, X, np.nan))
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        inspect(model, X[:0])
    with pytest.raises(ValueError, match="Expected 2D array"):
        inspect(model, X[0])
    for target in (7, "a", [0, 7], []):
        with pytest.raises(ValueError, match=r"target should be .* \[0, 1, 2\], got"):
            inspect(model, X, target=target)
    with pytest.raises(ValueError, match=r"The 'response_method' parameter .* must be"):
        inspect(model, X, response_method="predict")


@pytest.mark.parametrize("response_method", RESPONSES)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_row_is_explained_alike_alone_and_among_others(activation, response_method):
    model, X = make_model((6, 5), activation)
    options = {"baseline": X[:3], "response_method": response_method}
    together = attributions(model, X, **options)
    for i in (0, 7, 20):
        alone = attributions(model, X[i : i + 1], **options)
        assert_allclose(alone.contributions[0], together.contributions[i], atol=1e-12)
        assert alone.n_steps[0] == together.n_steps[i]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_one_row_and_a_sample_as_many_rows_and_one(monkeypatch, hidden):
    """Paths are taken together from either end, in pieces."""
    model, X = make_model(hidden)
    options = {"response_method": "predict_proba", "tol": 1e-9}
    expected = attributions(model, X[:1], baseline=X, **options)
    assert expected.contributions.shape == (1, 3, 4)
    for n_numbers in (1, 300):  # 2 pairs, and some
        monkeypatch.setattr(_path, "_PAIR_NUMBERS", n_numbers)
        result = attributions(model, X[:1], baseline=X, **options)
        assert_allclose(result.contributions, expected.contributions, atol=1e-12)
    back = attributions(model, X, baseline=X[0], **options)
    mean = -back.contributions.mean(axis=0)
    assert_allclose(expected.contributions[0], mean, atol=1e-8)


def test_few_rows_and_very_many_classes():
    X = np.random.default_rng(0).normal(size=(1050, 5))
    model = short(alpha=1.0).fit(X, np.arange(1050) % 350)
    for rows in (X[:1], X[:3]):
        result = attributions(model, rows)
        assert result.contributions.shape == (len(rows), 350, 5)
        assert np.abs(result.completeness_errors).max() < 1e-12
        assert input_gradients(model, rows).shape == (len(rows), 350, 5)


def test_baselines_of_texts():
    texts = ["good film", "bad film", "good plot", "bad end", "a good end", "a bad plot"]
    pipe = make_pipeline(TfidfVectorizer(), short(alpha=0.1)).fit(texts, [1, 0] * 3)
    rows = pipe[0].transform(texts)
    expected = attributions(pipe[1], rows, baseline=rows[:1])
    for baseline in (texts[0], texts[:1], np.array(texts[:1], dtype=object)):
        result = attributions(pipe, texts, baseline=baseline)
        assert_allclose(result.contributions, expected.contributions, atol=1e-12)
    with pytest.raises(ValueError, match=r"In baseline: [\s\S]*a row like those of X"):
        attributions(pipe, texts, baseline=0)


def test_names_of_a_baseline_are_those_of_the_features():
    pd = pytest.importorskip("pandas")
    model, X = make_model()
    frame = pd.DataFrame(X, columns=list("abcd"))
    model.fit(frame, np.arange(40) % 3)
    expected = attributions(model, frame, baseline=X[0]).contributions
    for baseline in (frame.iloc[:1], frame.iloc[0]):
        result = attributions(model, frame, baseline=baseline)
        assert_array_equal(result.contributions, expected)
        with pytest.raises(ValueError, match="In baseline: The feature names should match"):
            attributions(model, frame, baseline=baseline[list("dcba")])


def test_bad_baseline_and_settings():
    model, X = make_model()
    pipe = make_pipeline(StandardScaler(), model).fit(X, np.arange(40) % 2)
    for baseline in (X[:, :3], X[0, :3]):
        with pytest.raises(ValueError, match="baseline has 3 features, but 4 are expected"):
            attributions(model, X, baseline=baseline)
        with pytest.raises(ValueError, match="In baseline: X has 3 features"):
            attributions(pipe, X, baseline=baseline)
    with pytest.raises(ValueError, match="baseline contains NaN"):
        attributions(model, X, baseline=np.full(4, np.nan))
    with pytest.raises(ValueError, match="Found array with dim 3"):
        attributions(model, X, baseline=X[np.newaxis])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        attributions(model, X, baseline=X[:0])
    for name, value in [("tol", 0.0), ("tol", "a"), ("max_steps", 4), ("max_steps", 8.5)]:
        with pytest.raises(ValueError, match=f"The '{name}' parameter of attributions"):
            attributions(model, X, **{name: value})


class Doubled(TransformerMixin, BaseEstimator):
    """A step that has nothing to remember."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.c_[np.asarray(X), np.asarray(X)]


class Sampler(BaseEstimator):
    """What imbalanced-learn has among the steps: it is skipped in predictions."""

    def fit_resample(self, X, y):
        return X[:5], y[:5]


def assert_explains(pipe, X, seen):
    """A pipeline is explained as its last step is, of the rows that it sees."""
    net = pipe[-1]
    assert_array_equal(input_gradients(pipe, X), input_gradients(net, seen))
    expected = attributions(net, seen, baseline=seen[:3])
    result = attributions(pipe, X, baseline=X[:3])
    assert_allclose(result.contributions, expected.contributions, atol=1e-12)
    assert_array_equal(result.features, seen)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_samplers_among_the_steps_are_skipped(place):
    model, X = make_model()
    scaler, y = StandardScaler().fit(X), np.arange(40) % 3
    model.fit(scaler.transform(X), y)
    steps = [("scale", scaler), ("pass", "passthrough")]
    steps.insert(place, ("sample", Sampler()))
    assert_explains(Pipeline([*steps, ("net", model)]), X, scaler.transform(X))


def test_pipelines_of_imbalanced_learn():
    imblearn = pytest.importorskip("imblearn", reason="imbalanced-learn is not installed")
    from imblearn.over_sampling import RandomOverSampler

    X = np.random.default_rng(0).normal(size=(60, 4))
    y = (np.arange(60) % 5 == 0).astype(int)
    sampler, net = RandomOverSampler(random_state=0), short(solver="lbfgs", alpha=1.0)
    for steps in [(StandardScaler(), sampler), (sampler, StandardScaler()), (sampler,)]:
        pipe = imblearn.pipeline.make_pipeline(*steps, clone(net)).fit(X, y)
        scaler = pipe.named_steps.get("standardscaler")
        assert_explains(pipe, X, X if scaler is None else scaler.transform(X))
        search = GridSearchCV(pipe, {"mlpclassifiermanual__alpha": [1.0]}, cv=2).fit(X, y)
        assert input_gradients(search, X).shape == (60, 2, 4)


def test_steps_without_fitted_attributes():
    X = np.random.default_rng(0).normal(size=(40, 3))
    net = short(solver="lbfgs", alpha=1.0)
    inner = make_pipeline(StandardScaler(), Doubled())
    for steps, is_scaled in [
        ([Doubled()], False),
        ([StandardScaler(), Doubled(), "passthrough"], True),
        ([inner, "passthrough"], True),
        ([inner, None], True),
        (["passthrough", FunctionTransformer(lambda X: np.c_[X, X])], False),
    ]:
        pipe = make_pipeline(*steps, net).fit(X, X[:, 0] > 0)
        rows = StandardScaler().fit_transform(X) if is_scaled else X
        assert_explains(pipe, X, np.c_[rows, rows])
        names = attributions(pipe, X, baseline=X[0]).feature_names
        assert list(names) == [f"x{i}" for i in range(6)]


class Named(FunctionTransformer):
    """A step whose names are those of a function that takes itself only."""

    def __init__(self, names=None):
        super().__init__()
        self.names = names

    def get_feature_names_out(self):
        return self.names()


def unknown():
    raise NotImplementedError


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        ([Named(lambda: ["one", "two"])], ["one", "two"]),
        ([Named(lambda: ["one", "two"]), StandardScaler()], ["one", "two"]),
        ([Named(lambda: ["one"])], ["x0", "x1"]),
        ([Named(lambda: None)], ["x0", "x1"]),
        ([Named(unknown)], ["x0", "x1"]),
        ([Named(unknown), PCA(2)], ["pca0", "pca1"]),
    ],
)
def test_names_are_those_that_the_steps_can_tell(steps, names):
    X = np.random.default_rng(0).normal(size=(40, 2))
    pipe = make_pipeline(*steps, short(solver="lbfgs", alpha=1.0)).fit(X, X[:, 0] > 0)
    assert list(attributions(pipe, X).feature_names) == names


def make_table(dtype="object"):
    """Rows of two categories and a number, and classes that depend on all."""
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    rng = np.random.default_rng(0)
    town, job = rng.choice(["Ulm", "Bonn"], 60), rng.choice(["cook", "clerk", "nurse"], 60)
    table = pd.DataFrame({"town": town, "job": job, "age": rng.integers(20, 60, 60)})
    y = np.sum([town == "Ulm", job == "cook", table["age"] > 40], axis=0) > 1
    return table.astype({"town": dtype, "job": dtype}), y


def encode(kind):
    """Steps for a table, or its categories only, and the columns that they take."""
    encoder = OneHotEncoder(handle_unknown="ignore")
    if kind == "mixed":
        columns = ["town", "job", "age"]
        return make_column_transformer(
            (encoder, columns[:2]), (StandardScaler(), columns[2:])
        ), columns
    columns = ["town", "job"]
    by_column = make_column_transformer((encoder, columns))
    return (encoder if kind == "encoder" else by_column), columns


@pytest.mark.parametrize("dtype", ["object", "category"])
@pytest.mark.parametrize("kind", ["encoder", "columns", "mixed"])
def test_a_row_of_categories_as_baseline(kind, dtype):
    table, y = make_table(dtype)
    step, columns = encode(kind)
    X = table[columns]
    pipe = make_pipeline(step, short(solver="lbfgs", alpha=1.0)).fit(X, y)
    expected = attributions(pipe, X, baseline=X.iloc[[7]])
    assert np.abs(expected.contributions).max() > 0.01
    row = X.iloc[7]
    for baseline in (row, row.to_dict(), list(row), tuple(row), row.to_numpy()):
        result = attributions(pipe, X, baseline=baseline)
        assert_allclose(result.contributions, expected.contributions, atol=1e-12)
    several = attributions(pipe, X, baseline=X.iloc[:5])
    rows = X.iloc[:5].to_numpy(object)
    for baseline in (rows, rows.tolist()):
        result = attributions(pipe, X, baseline=baseline)
        assert_allclose(result.contributions, several.contributions, atol=1e-12)
    shuffled = row[columns[::-1]]
    if kind == "encoder":  # which asks for the order of names
        with pytest.raises(ValueError, match="In baseline: The feature names should match"):
            attributions(pipe, X, baseline=shuffled)
    else:
        result = attributions(pipe, X, baseline=shuffled)
        assert_allclose(result.contributions, expected.contributions, atol=1e-12)
    with pytest.raises(ValueError, match=f"In baseline: it has 1 features, not {len(row)}"):
        attributions(pipe, X, baseline=["Ulm"])


def test_a_row_of_a_frame_keeps_the_types_of_its_columns():
    """Steps written by hand see numbers as numbers, and categories with their codes."""
    table, y = make_table("category")

    def numbers(X):
        return np.c_[X["town"].cat.codes, X["job"].cat.codes, np.sqrt(X["age"])]

    pipe = make_pipeline(FunctionTransformer(numbers), short(solver="lbfgs", alpha=1.0))
    pipe.fit(table, y)
    expected = attributions(pipe, table, baseline=table.iloc[[7]])
    result = attributions(pipe, table, baseline=table.iloc[7])
    assert_allclose(result.contributions, expected.contributions, atol=1e-12)


@pytest.mark.parametrize("container", [np.asarray, np.ndarray.tolist])
def test_a_row_of_an_array_of_categories_as_baseline(container):
    table, y = make_table()
    X = table.to_numpy()
    X[:, 2] %= 3
    encoder = OneHotEncoder(handle_unknown="ignore")
    pipe = make_pipeline(encoder, short(solver="lbfgs", alpha=1.0)).fit(container(X), y)
    expected = attributions(pipe, container(X), baseline=container(X[7:8]))
    assert np.abs(expected.contributions).max() > 0.01
    for baseline in (X[7], list(X[7]), X[7:8], X[7:8].tolist()):
        result = attributions(pipe, container(X), baseline=baseline)
        assert_allclose(result.contributions, expected.contributions, atol=1e-12)


def test_a_row_of_a_frame_of_polars_as_baseline():
    polars = pytest.importorskip("polars", reason="polars is not installed")
    table, y = make_table()
    X = polars.DataFrame(table.to_dict("list"))
    step, _ = encode("mixed")
    pipe = make_pipeline(step, short(solver="lbfgs", alpha=1.0)).fit(X, y)
    expected = attributions(pipe, X, baseline=X[7:8])
    for baseline in (X.row(7), X.row(7, named=True), list(X.row(7))):
        result = attributions(pipe, X, baseline=baseline)
        assert_allclose(result.contributions, expected.contributions, atol=1e-12)


def test_baselines_of_dictionaries_and_of_lists_of_words():
    y = np.arange(12) % 2
    for step, rows in [
        (DictVectorizer(), [{"a": i % 4, "b": i % 3} for i in range(12)]),
        (
            CountVectorizer(analyzer=list),
            [["sun", "rain", "fog"][: i % 3 + 1] for i in range(12)],
        ),
    ]:
        pipe = make_pipeline(step, short(solver="lbfgs", alpha=1.0)).fit(rows, y)
        seen = pipe[0].transform(rows)
        expected = attributions(pipe[1], seen, baseline=seen[1:2])
        for baseline in (rows[1], rows[1:2]):
            result = attributions(pipe, rows, baseline=baseline)
            assert_allclose(result.contributions, expected.contributions, atol=1e-12)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_baseline_by_default_is_the_mean_of_a_whole_stream(solver):
    """Also of rows after which the coordinates have not moved, or a sensor was idle."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(330, 4)) + np.array([0, 3, -1, 100])
    X[:210, 2] = 0.0
    y = np.arange(330) % 3
    model = short(solver=solver, alpha=1.0)
    for start in range(0, 330, 30):
        rows = slice(start, start + 30)
        model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    result = attributions(model, X[:9])
    expected = attributions(model, X[:9], baseline=X.mean(axis=0))
    assert_allclose(result.contributions, expected.contributions, atol=1e-10)
    assert_allclose(result.base_values, expected.base_values, atol=1e-10)
    weights = rng.integers(0, 3, 60).astype(float)
    model = short(alpha=1.0).fit(X[:60], y[:60], weights)
    expected = attributions(
        model, X[:9], baseline=np.average(X[:60], axis=0, weights=weights)
    )
    assert_allclose(attributions(model, X[:9]).base_values, expected.base_values)


def missed(result):
    """By what share of their largest contribution those of a row miss their sum."""
    largest = np.abs(result.contributions).max(axis=2)
    return np.abs(result.completeness_errors) / largest


@pytest.mark.parametrize("activation", ["logistic", "tanh"])
def test_more_steps_where_the_features_cancel_and_the_units_do_not(activation):
    """Units of the first layer of large and opposite contributions allow no more."""
    model, X = make_model((20, 10), activation, alpha=1e-3)
    for response_method in RESPONSES:
        result = attributions(model, X, response_method=response_method, max_steps=2**11)
        assert missed(result).max() <= 0.01 + 1e-9


def test_what_misses_its_sum_says_what_to_raise():
    model, X = make_model((8, 8, 8), "relu")
    with pytest.warns(ConvergenceWarning, match=r"Increase max_steps or tol\.") as log:
        result = attributions(model, X, max_steps=64)
    n_rows = (missed(result) > 0.01).any(axis=1).sum()
    assert str(log[0].message).startswith(f"Contributions of {n_rows} rows do not add up")
    assert missed(attributions(model, X, max_steps=2**11)).max() <= 0.01


def test_a_saturated_net_says_that_its_contributions_lack_a_step():
    """Its gradient vanishes at all nodes, and what the contributions miss is all."""
    model, X = make_model((), n_classes=2)
    model.coefs_ = [1e6 * model.coefs_[0]]
    with pytest.warns(ConvergenceWarning, match="Increase max_steps"):
        result = attributions(model, X, response_method="predict_proba")
    assert np.abs(result.completeness_errors).max() > 0.4


def test_contributions_that_cancel_between_baselines_say_so():
    """Each pair of rows is within `tol` of its own contributions, which are larger."""
    model, X = make_model((6, 5), "relu", alpha=1e-3)
    step, options = np.array([0.5, -1.0, 0.25, 0.75]), {"max_steps": 2**11}
    said = []
    for row in X[:20]:
        options["baseline"] = np.stack([row - step, row + step])
        with warnings.catch_warnings(record=True) as log:
            warnings.simplefilter("always")
            result = attributions(model, row[np.newaxis], tol=0.05, **options)
        said.append("baselines cancel: decrease tol." in "".join(map(str, log)))
        assert said[-1] == (missed(result) > 0.05).any()
    assert 0 < sum(said) < 20


@pytest.mark.parametrize("hidden", [(), (7,)])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_contributions_that_are_lost_in_rounding_say_so(hidden, activation):
    rng = np.random.default_rng(0)
    X = (1e6 + rng.normal(size=(40, 4))).astype(np.float32)
    model = MLPClassifierManual(hidden, activation, alpha=0.1, random_state=0)
    model.fit(X, np.arange(40) % 2)
    with pytest.warns(ConvergenceWarning, match="more than 1% of the largest.* rounding"):
        result = attributions(model, X, baseline=X[3])
    others = np.arange(40) != 3
    largest = np.abs(result.contributions[others]).max(axis=2)
    assert (np.abs(result.completeness_errors[others]) > 0.01 * largest).any()
    assert_array_equal(result.n_steps, 0)
    # a row and itself have no difference that could be lost
    for response_method in RESPONSES:
        same = attributions(model, X[3:4], baseline=X[3], response_method=response_method)
        assert_array_equal(same.contributions, 0)
        assert same.n_steps[0] <= 8


ONE, TWO = 1, 2
# Losses of a regressor, columns of y, and what its outputs are called
VALUES = [
    ({"loss": "squared_error"}, ONE, [0]),
    ({"loss": "squared_error"}, TWO, [0, 1]),
    ({"loss": "poisson"}, ONE, [0]),
    ({"loss": "poisson"}, TWO, [0, 1]),
    ({"loss": "gamma"}, TWO, [0, 1]),
    ({"loss": "absolute_error"}, ONE, [0]),
    ({"loss": "absolute_error"}, TWO, [0, 1]),
    ({"loss": "quantile", "quantile": 0.9}, ONE, [0.9]),
    ({"loss": "quantile", "quantile": 0.9}, TWO, [0, 1]),
    ({"loss": "quantile", "quantile": [0.1, 0.5, 0.9]}, ONE, [0.1, 0.5, 0.9]),
    ({"loss": "gaussian"}, ONE, ["mean", "std"]),
    ({"loss": "gaussian"}, TWO, ["mean_0", "mean_1", "std_0", "std_1"]),
]


def make_regressor(params, n_columns=ONE, hidden=(6, 5), dtype=float, **others):
    """A fitted net of values, and its 40 rows of 4 features."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4))
    y = np.exp(X[:, :n_columns] / 2 + 0.2 * rng.normal(size=(40, n_columns))) + 0.1
    y = 100 * y if n_columns == TWO else 100 * y[:, 0]
    settings = {"activation": "tanh", "alpha": 0.1, "max_iter": 15, "random_state": 0}
    model = MLPRegressorManual(hidden_layer_sizes=hidden, **(settings | params | others))
    return model.fit(X.astype(dtype), y), X.astype(dtype)


def predictions(model, X, response_method="predict"):
    """Of shape (n, number of outputs), by way of the estimator's other methods."""
    if response_method == "logits":
        return model.transform(X) @ model.coefs_[-1] + model.intercepts_[-1]
    if model.loss == "gaussian":
        parts = model.predict(X, return_std=True)
    else:
        parts = [model.predict(X)]
    return np.concatenate([part.reshape(len(X), -1) for part in parts], axis=1)


@pytest.mark.parametrize("hidden", [(), (7,), (6, 5)])
@pytest.mark.parametrize("response_method", ["predict", "logits", "auto"])
@pytest.mark.parametrize(("params", "n_columns", "names"), VALUES)
def test_gradients_of_values_are_those_of_differences(
    params, n_columns, names, response_method, hidden
):
    model, X = make_regressor(params, n_columns, hidden)
    respond = "predict" if response_method == "auto" else response_method
    expected = differences(lambda X: predictions(model, X, respond), X, 1e-5)
    gradients = input_gradients(model, X, response_method=response_method)
    if len(names) == 1:  # as y and predictions have no axis for it
        assert gradients.shape == (40, 4)
        gradients = gradients[:, np.newaxis]
    scale = np.abs(expected).max()
    assert_allclose(gradients, expected, rtol=1e-5, atol=1e-7 * scale)
    for i, name in enumerate(names):
        of_one = input_gradients(model, X, target=name, response_method=response_method)
        assert_allclose(of_one, gradients[:, i], atol=1e-12 * scale)
    of_last = input_gradients(model, X, target=names[-1:], response_method=response_method)
    assert_allclose(of_last, gradients[:, -1:], atol=1e-12 * scale)


@pytest.mark.parametrize("hidden", [(7,), (6, 5)])
@pytest.mark.parametrize("response_method", ["predict", "logits"])
@pytest.mark.parametrize(("params", "n_columns", "names"), VALUES)
def test_contributions_to_values_add_up(params, n_columns, names, response_method, hidden):
    model, X = make_regressor(params, n_columns, hidden)
    X, baseline = X[:6], X[-3:]
    options = {"baseline": baseline, "response_method": response_method, "tol": 1e-6}
    is_single = len(names) == 1
    result = attributions(model, X, target=names, **options)
    responses = predictions(model, X, response_method)
    base_values = predictions(model, baseline, response_method).mean(axis=0)
    assert_allclose(result.responses, responses, rtol=1e-10)
    assert_allclose(result.base_values, base_values, rtol=1e-10)
    assert list(result.targets) == names
    total = result.base_values + result.contributions.sum(axis=2)
    assert_allclose(total, responses, atol=1e-5 * np.abs(result.contributions).max())
    expected = integrals(model, X, baseline, target=names, response_method=response_method)
    scale = np.abs(result.contributions).max()
    assert_allclose(result.contributions, expected, atol=1e-5 * scale)
    if is_single:
        of_y = attributions(model, X, **options)
        assert_allclose(of_y.contributions, result.contributions[:, 0], atol=1e-12 * scale)
        assert of_y.contributions.shape == X.shape
        assert of_y.responses.shape == (6,)
        assert of_y.targets == names[0]
        assert np.ndim(of_y.base_values) == 0


def test_means_of_values_take_no_steps():
    for loss, is_closed in [("squared_error", True), ("gaussian", False)]:
        model, X = make_regressor({"loss": loss}, hidden=(7,))
        assert (attributions(model, X).n_steps.max() == 0) == is_closed
        of_logits = attributions(model, X, response_method="logits")
        assert_array_equal(of_logits.n_steps, 0)


def test_gradients_of_quantiles_that_cross_are_those_of_their_place():
    model, X = make_regressor({"loss": "quantile", "quantile": [0.4, 0.5, 0.6]})
    order = np.argsort(predictions(model, X, "logits"), axis=1)
    assert 5 < (order != [0, 1, 2]).any(axis=1).sum() < 40
    of_logits = input_gradients(model, X, response_method="logits")
    expected = np.take_along_axis(of_logits, order[:, :, np.newaxis], axis=1)
    assert_allclose(input_gradients(model, X), expected, atol=1e-12)


def test_values_in_single_precision_and_in_steps_before():
    for params, n_columns, names in VALUES:
        model, X = make_regressor(params, n_columns, dtype=np.float32)
        gradients = input_gradients(model, X, target=names)
        result = attributions(model, X, baseline=X[:3], target=names)
        assert gradients.dtype == result.contributions.dtype == np.float32
        assert result.responses.dtype == np.float32
        double, _ = make_regressor(params, n_columns)
        double.coefs_ = [W.astype(float) for W in model.coefs_]
        double.intercepts_ = [b.astype(float) for b in model.intercepts_]
        expected = input_gradients(double, X.astype(float), target=names)
        assert_allclose(gradients, expected, atol=1e-4 * np.abs(expected).max())
        scaled = make_pipeline(StandardScaler(), clone(double)).fit(X, 100 + X[:, 0])
        seen = scaled[0].transform(X)
        of_step = input_gradients(scaled[-1], seen)
        assert_array_equal(input_gradients(scaled, X), of_step)


@pytest.mark.parametrize("inspect", [input_gradients, attributions])
def test_what_regressors_are_asked_is_checked(inspect):
    model, X = make_regressor({"loss": "quantile", "quantile": [0.1, 0.9]})
    for target in (0, "mean", [0.1, 0.5], []):
        with pytest.raises(ValueError, match=r"target should be .* \[0\.1, 0\.9\], got"):
            inspect(model, X, target=target)
    for name in ("predict_proba", "decision_function"):
        match = rf"'auto', 'predict', 'logits'\]\. Got '{name}'"
        with pytest.raises(ValueError, match=match):
            inspect(model, X, response_method=name)
    with pytest.raises(ValueError, match=r"The 'response_method' parameter .* must be"):
        inspect(model, X, response_method="mean")
    with pytest.raises(NotFittedError, match="not fitted"):
        inspect(MLPRegressorManual(), X)
    classifier, _ = make_model()
    with pytest.raises(ValueError, match=r"'predict_proba'\]. Got 'predict' instead"):
        inspect(classifier, X, response_method="predict")


def test_of_classifiers_the_default_is_the_logits():
    model, X = make_model((6, 5))
    of_logits = input_gradients(model, X, response_method="logits")
    assert_array_equal(input_gradients(model, X), of_logits)
    of_logits = attributions(model, X, response_method="logits").contributions
    assert_array_equal(attributions(model, X).contributions, of_logits)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "params", [{"loss": "poisson"}, {"loss": "gamma"}, {"loss": "gaussian"}]
)
def test_far_away_predictions_and_their_gradients_are_finite(params, dtype):
    """Where exp has no number, predictions are the largest one, which does not grow."""
    model, X = make_regressor(params, activation="relu", hidden=(7,), dtype=dtype)
    far = X * dtype(1e6)
    found, gradients = predictions(model, far), input_gradients(model, far)
    assert found.dtype == gradients.dtype == dtype
    assert np.isfinite(found).all()
    assert np.isfinite(gradients).all()
    rows = (found > np.finfo(dtype).max / 2).any(axis=1)
    assert 0 < rows.sum() < 40
    last = gradients if params["loss"] != "gaussian" else gradients[:, 1]
    assert_array_equal(last[rows], 0)


def test_regressors_after_skops_and_in_searches():
    skops = pytest.importorskip("skops.io")
    model, X = make_regressor({"loss": "gaussian"})
    name = "skmlp._regressor.MLPRegressorManual"
    loaded = skops.loads(skops.dumps(model), trusted=[name])
    assert_array_equal(input_gradients(loaded, X), input_gradients(model, X))
    search = GridSearchCV(clone(model), {"alpha": [0.1]}, cv=2).fit(X, 100 + X[:, 0])
    best = attributions(search.best_estimator_, X).contributions
    assert_array_equal(attributions(search, X).contributions, best)
