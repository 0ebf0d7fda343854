"""What both estimators of tables do: encode, and let a net do the rest."""

import operator
from itertools import pairwise

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmlp._sklearn import StrOptions, count_samples, select
from skmlp._tabular._encoding import N_BINS
from skmlp._tabular._intake import take_table, take_table_chunk
from skmlp._tabular._table import check_table

# Bytes of features that are made at a time in a prediction
_MOST_BYTES = 2**28
# What a net of features has not in common with the estimator of the table
_OF_TABLE = {
    "encoding",
    "categorical_features",
    "encoder_",
    "encoding_",
    "encoding_losses_",
    "n_features_in_",
    "feature_names_in_",
}


class TabularMLP:
    """A mixin: the estimator of features, which follows it, becomes one of tables.

    Attributes
    ----------
    _net_type : type
        What is trained on the features.
    """

    _parameters_of_table: dict = {  # noqa: RUF012, scikit-learn's convention
        "encoding": [StrOptions({"auto", *N_BINS})],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
    }

    _take, _take_chunk = staticmethod(take_table), staticmethod(take_table_chunk)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    @property
    def pipeline_(self):
        """The encoder and the net, as a fitted pipeline of scikit-learn."""
        check_is_fitted(self)
        return Pipeline([("encoder", self.encoder_), ("net", self._net())])

    def _chosen(self):
        return super()._chosen() | {"encoding": self.encoding_}

    def _net(self):
        """The net of the features, with these parameters, and fitted if this one is."""
        names = self._net_type().get_params(deep=False)
        net = self._net_type(**{name: getattr(self, name) for name in names})
        fitted = {k: v for k, v in vars(self).items() if k not in _OF_TABLE}
        vars(net).update(fitted)
        if hasattr(self, "coefs_"):
            net.n_features_in_ = len(self.coefs_[0])
        return net

    def _fit(self, take, given, validation_set, initial):
        if self.encoding == "auto" and any(array is not None for array in initial):
            raise ValueError(
                "coefs_init and intercepts_init are for the features of one encoding: set "
                "encoding='linear' or 'piecewise'."
            )
        return super()._fit(take, given, validation_set, initial)

    def _attributes(self, taken, earlier, outcome, join=operator.add):
        losses = self.encoding_losses_ if earlier else outcome.held_out
        attributes = super()._attributes(taken, earlier, outcome, join)
        losses = dict(losses) or {outcome.columns: np.nan}
        return attributes | {"encoding_losses_": losses}

    def _features(self, X):
        return self.encoder_.transform(check_table(self, X, reset=False))

    def _evaluate(self, X, layer=-1, finish=None):
        check_is_fitted(self)
        table, net = check_table(self, X, reset=False), self._net()
        n_rows = count_samples(table)
        row_bytes = net.n_features_in_ * net.coefs_[0].itemsize
        n_blocks = -(-n_rows * row_bytes // _MOST_BYTES)
        ends = [n_rows * i // n_blocks for i in range(n_blocks + 1)]
        blocks = (
            [table]
            if n_blocks == 1
            else (select(table, np.arange(*end)) for end in pairwise(ends))
        )
        return np.concatenate(
            [net._evaluate(self.encoder_.transform(rows), layer, finish) for rows in blocks]
        )
