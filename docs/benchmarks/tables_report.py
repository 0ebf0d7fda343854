"""Write the page on tables, with its picture, from the recorded results.

python docs/benchmarks/tables_report.py
"""

import json
from pathlib import Path

import datasets
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import LogLocator, NullFormatter
from scipy.stats import gmean
from stress_report import markdown

HERE = Path(__file__).parent
TITLES = {
    "tabular": "TabularMLP",
    "net": "MLP…Manual",
    "mlp": "MLP of scikit-learn",
    "hgb": "HistGradientBoosting",
    "lightgbm": "LightGBM",
    "xgboost": "XGBoost",
    "catboost": "CatBoost",
    "realmlp": "RealMLP-TD-S",
    "tabm": "TabM",
    "skrub": "skrub",
}
OURS = ["tabular", "net"]
BOOSTING, REFERENCE = ["hgb", "lightgbm", "xgboost", "catboost"], "hgb"
GROUPS = {
    "the tables that chose the defaults": datasets.NAMES,
    "larger tables": datasets.LARGER,
    "classes, with categories and gaps": datasets.MIXED,
    "values": [*datasets.PROTOCOL, *datasets.VALUES],
    "values, with categories and gaps": datasets.MIXED_VALUES,
}
# A difference up to this is a tie: absolute, or relative to theirs
TIES = {"accuracy": ("absolute", 0.005), "log_loss": ("relative", 0.01)}
TIES["rmse"] = TIES["log_loss"]
OF_CLASSES, OF_VALUES = ["log_loss", "accuracy", "auc"], ["rmse"]
SIGN = {"accuracy": 1, "auc": 1, "log_loss": -1, "rmse": -1}
NAMES = {"accuracy": "accuracy", "auc": "AUC", "log_loss": "log-loss", "rmse": "RMSE"}
COLOURS = dict.fromkeys(OURS, "#D55E00") | dict.fromkeys(BOOSTING, "#009E73")


# --- numbers ------------------------------------------------------------------------------


def per_set(rows, metric):
    """Mean over the splits, by table and model, both in their order."""
    table = rows.pivot_table(metric, "set", "model", "mean")
    models = [model for model in TITLES if model in table]
    return table.loc[list(dict.fromkeys(rows["set"])), models]


def paired(rows, metric, ours, theirs):
    """Means of two models by table, over the splits that both have."""
    table = rows.pivot_table(metric, ["set", "split"], "model")
    both = pd.DataFrame(
        {"ours": table.get(ours), "theirs": table.get(theirs)}, index=table.index
    )
    return both.dropna().astype(float).groupby("set").mean()


def ratio(rows, metric, model):
    """Geometric mean of a loss over boosting's, as text."""
    both = paired(rows, metric, model, REFERENCE)
    return f"{gmean(both['ours'] / both['theirs']):.3f}" if len(both) else ""


def gain(both, metric):
    """By how much ours is better, in units of a tie."""
    kind, size = TIES[metric]
    scale = both["theirs"] * size if kind == "relative" else size
    return SIGN[metric] * (both["ours"] - both["theirs"]) / scale


def counts(rows, metric, ours, theirs):
    """Wins, ties and losses, as text."""
    if ours == theirs:
        return ""
    gains = gain(paired(rows, metric, ours, theirs), metric)
    wins, losses = (gains > 1).sum(), (gains < -1).sum()
    return f"{wins} / {len(gains) - wins - losses} / {losses}"


def ranks(rows, metric):
    """Mean rank of the models that have every table, over the splits that all have."""
    models = list(per_set(rows, metric).dropna(axis=1))
    table = rows.pivot_table(metric, ["set", "split"], "model")[models].dropna()
    table = table.groupby("set").mean()
    return table.rank(axis=1, ascending=SIGN[metric] < 0).mean()


def titles(rows):
    """Names of the models, with the number of splits if they have fewer than others."""
    found = rows.groupby("model")["split"].nunique()
    return {
        model: TITLES[model]
        + (f" ({n} of {found.max()} splits)" if n < found.max() else "")
        for model, n in found.items()
    }


def ours_of(rows):
    """Which of our models is compared with the others: the first that was measured."""
    return next((model for model in OURS if model in set(rows["model"])), OURS[0])


# --- tables of the page -------------------------------------------------------------------


def summary(rows, metrics):
    """A line for each model: means, ranks, ours against it, and seconds.

    The first of the metrics is a loss.
    """
    loss, ours = metrics[0], ours_of(rows)
    tables = {metric: per_set(rows, metric) for metric in metrics}
    rank = {m: ranks(rows, m) for m in metrics if m in TIES}
    seconds, named = per_set(rows, "seconds").sum(), titles(rows)
    lines = []
    for model in tables[loss]:
        complete = tables[loss][model].notna().all()
        means = [f"{tables[metric][model].mean():.4f}" for metric in metrics]
        means.insert(1, f"{gmean(tables[loss][model].dropna()):.4f}")
        lines.append(
            [
                named[model],
                tables[loss][model].count(),
                *(means if complete else [""] * len(means)),
                ratio(rows, loss, model),
                *(f"{of[model]:.2f}" if complete else "" for of in rank.values()),
                *(counts(rows, metric, ours, model) for metric in rank),
                f"{seconds[model]:.0f}" if complete else "",
            ]
        )
    names = [NAMES[metric] for metric in metrics]
    header = ["", "tables", names[0], "geometric mean", *names[1:], "of boosting's"]
    header += [f"mean rank, {NAMES[metric]}" for metric in rank]
    header += [f"{TITLES[ours]} against it, {NAMES[metric]}" for metric in rank]
    return markdown([*header, "CPU, s"], lines)


def by_group(rows):
    """Geometric means of the losses over boosting's, by kind of table."""
    models = [model for model in TITLES if model in set(rows["model"])]
    lines = []
    for group, names in GROUPS.items():
        those = rows[rows["set"].isin(names)]
        if len(those):
            loss = "rmse" if "values" in group else "log_loss"
            cells = [ratio(those, loss, model) for model in models]
            lines.append([group, those["set"].nunique(), *cells])
    return markdown(["", "tables", *(TITLES[model] for model in models)], lines)


def by_set(rows, metric, digits=3):
    """The metric of each model on each table, the best in bold."""
    table = per_set(rows, metric)
    sizes = {"n_train": "n", "n_features": "d", "n_classes": "K"}
    about = rows.groupby("set")[list(sizes)].first().dropna(axis=1).astype(int)
    named, lines = titles(rows), []
    whole = [model for model in table if named[model] == TITLES[model]]
    for name, row in table.iterrows():
        best = row[whole].max() if metric == "accuracy" else row[whole].min()
        cells = [_cell(row[model], best, model in whole, digits) for model in table]
        lines.append([name, *about.loc[name], *cells])
    header = ["table", *(sizes[size] for size in about), *(named[model] for model in table)]
    return markdown(header, lines)


def _cell(value, best, may_win, digits):
    """In bold if it is the best; nothing if it is missing."""
    text = "" if pd.isna(value) else f"{value:.{digits}f}"
    return f"**{text}**" if may_win and text == f"{best:.{digits}f}" else text


def behind(rows, metric):
    """The tables where a boosting is ahead of us, the furthest first."""
    ours, found = ours_of(rows), []
    for theirs in BOOSTING:
        both = paired(rows, metric, ours, theirs).assign(theirs_is=TITLES[theirs])
        found.append(both.assign(gain=gain(both, metric)))
    best = pd.concat(found).sort_values("gain").groupby("set", sort=False).head(1)
    lost = best[best["gain"] < -1]
    lines = [
        f"- {name}: {row['ours']:.3f}, {row['theirs_is']} {row['theirs']:.3f}"
        for name, row in lost.iterrows()
    ]
    return "\n".join(lines) or "None."


# --- the picture --------------------------------------------------------------------------


def draw(parts, path):
    """Losses over boosting's against the processor's seconds, a point for each model."""
    figure, axes = plt.subplots(
        ncols=len(parts), figsize=(10, 4.4), layout="constrained", squeeze=False
    )
    for ax, (title, rows, metric) in zip(axes[0], parts, strict=True):
        models = per_set(rows, metric).dropna(axis=1).columns
        seconds = per_set(rows, "seconds").sum()[models]
        middle = (seconds.min() * seconds.max()) ** 0.5
        for model in models:
            point = seconds[model], float(ratio(rows, metric, model))
            ax.plot(*point, "o", color=COLOURS.get(model, "#0072B2"))
            label(ax, model, point, to_the_left=seconds[model] > middle)
        ax.axhline(1, color="0.8", linewidth=0.8, zorder=0)
        ax.set(xscale="log", title=title, xlabel="CPU of a fit of every table, s")
        ax.set_ylabel(f"{NAMES[metric]} / HistGradientBoosting's, geometric mean")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.margins(x=0.1, y=0.1)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def label(ax, model, point, to_the_left):
    """The name beside its point; skrub's below, since it is where its boosting is."""
    away = (-6 if to_the_left else 6, -12 if model == "skrub" else 4)
    side = "right" if to_the_left else "left"
    ax.annotate(TITLES[model], point, away, textcoords="offset points", ha=side, fontsize=8)


# --- the page -----------------------------------------------------------------------------


def read():
    """Machine and rows, in the order of the tables."""
    content = json.loads((HERE / "tables.json").read_text())
    rows = pd.DataFrame(content["rows"])
    return content["machine"], rows.reindex(columns=rows.columns.union(SIGN))


def part(rows, write, *args):
    """A part of the page, if there are rows for it."""
    return write(rows, *args) if len(rows) else "Not measured yet."


def full_size(rows):
    """The part on all rows."""
    kinds = [metrics for metrics in (OF_CLASSES, OF_VALUES) if rows[metrics[0]].any()]
    parts = []
    for loss, *others in kinds:
        those = rows[rows[loss].notna()]
        tables = [by_set(those, metric) for metric in [loss, *others] if metric in TIES]
        parts += [summary(those, [loss, *others]), *tables]
    return "\n\n".join(parts)


def main():
    where, rows = read()
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    capped = rows[~rows["full"]]
    classes = capped[capped["log_loss"].notna()]
    values = capped[capped["rmse"].notna()]
    text = (HERE / "tables.md.in").read_text()
    for name, value in {
        "machine": f"{where['date']}; {versions}",
        "splits": str(capped["split"].nunique()),
        "ours": TITLES[ours_of(capped)],
        "load": f"{rows['load'].mean():.1f}",
        "classes": part(classes, summary, OF_CLASSES),
        "values": part(values, summary, OF_VALUES),
        "groups": part(capped, by_group),
        "behind_classes": part(classes, behind, "log_loss"),
        "behind_values": part(values, behind, "rmse"),
        "log_losses": part(classes, by_set, "log_loss"),
        "accuracies": part(classes, by_set, "accuracy"),
        "errors": part(values, by_set, "rmse"),
        "seconds": part(capped, by_set, "seconds", 2),
        "full": part(rows[rows["full"]], full_size),
    }.items():
        text = text.replace(f"@{name}@", value)
    (HERE / "tables.md").write_text(text)
    parts = [("Classes", classes, "log_loss"), ("Values", values, "rmse")]
    draw([part for part in parts if len(part[1])], HERE / "tables.png")


if __name__ == "__main__":
    main()
