"""Write the page on the defaults, with its pictures, from the recorded results.

python docs/benchmarks/quality_report.py
"""

import json
from pathlib import Path

import datasets
import generated
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import pandas as pd

HERE = Path(__file__).parent
OURS, *THEIRS = (
    "MLPClassifierManual()",
    "MLPClassifier()",
    "LogisticRegression()",
    "HistGradientBoosting()",
)
TIES = {"log_loss": 0.01, "accuracy": 0.005}
SIGN = {"log_loss": -1, "accuracy": 1}
COLOURS = dict(
    zip([OURS, *THEIRS], ["#D55E00", "#0072B2", "#56B4E9", "#009E73"], strict=True)
)
MARKERS = dict(zip([OURS, *THEIRS], "osD^", strict=True))


def read(name):
    """Machine and rows of a file of `quality.py`."""
    content = json.loads((HERE / name).read_text())
    return content["machine"], pd.DataFrame(content["rows"])


def read_regret():
    """Machine and rows of `quality.py --regret`, of all tables and problems."""
    command = "python docs/benchmarks/quality.py --regret"
    if not (HERE / "regret.json").exists():
        raise SystemExit(f"There is no regret.json: run {command}")
    machine, rows = read("regret.json")
    names = [*datasets.NAMES, *datasets.LARGER, *generated.CURVES]
    missing = [name for name in names if name not in set(rows["set"])]
    if missing:
        raise SystemExit(f"regret.json has no {', '.join(missing)}: run {command}")
    return machine, rows


def medians(rows, metric):
    """Median over the splits, by set and candidate."""
    return rows.pivot_table(metric, "set", "candidate", "median")


def gains(rows, theirs, metric):
    """How much better we are on each set."""
    table = medians(rows, metric)
    return SIGN[metric] * (table[OURS] - table[theirs])


def count(gain, metric):
    """Wins, ties and losses, where differences up to the tie count as none."""
    wins, losses = (gain > TIES[metric]).sum(), (gain < -TIES[metric]).sum()
    return f"{wins} / {len(gain) - wins - losses} / {losses}"


def markdown(header, rows):
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def comparison(rows):
    """Us against each baseline, for both metrics, and without each set in turn."""
    lines = []
    for theirs in THEIRS:
        for metric in TIES:
            gain = gains(rows, theirs, metric)
            left_out = [gain.drop(name).mean() for name in gain.index]
            lines.append(
                [
                    f"`{theirs}`",
                    metric.replace("_", "-"),
                    count(gain, metric),
                    f"{gain.mean():+.4f}",
                    f"{gain.median():+.4f}",
                    f"{gain.min():+.4f} ({gain.idxmin()})",
                    f"{min(left_out):+.4f} to {max(left_out):+.4f}",
                ]
            )
    header = [
        "against",
        "metric",
        "wins / ties / losses",
        "mean gain",
        "median gain",
        "worst set",
        "mean gain, any one set left out",
    ]
    return markdown(header, lines)


def by_set(rows, metric):
    """The metric of each candidate on each set, the best in bold."""
    table = medians(rows, metric)[[OURS, *THEIRS]]
    sizes = rows.groupby("set")[["n_train", "n_features", "n_classes"]].first()
    best = table.min(axis=1) if SIGN[metric] < 0 else table.max(axis=1)
    lines = []
    for name in table.index:
        cells = [
            f"**{value:.4f}**" if value == best[name] else f"{value:.4f}"
            for value in table.loc[name]
        ]
        lines.append([name, *sizes.loc[name], *cells])
    return markdown(["set", "n", "d", "K", *(f"`{name}`" for name in table)], lines)


def variants(rows, group):
    """Mean log-loss and accuracy of variants, and their wins over the defaults."""
    lines = []
    default = rows[rows["group"] == "default"]
    default = default[default["candidate"] == "defaults"]
    for candidate, those in rows[rows["group"] == group].groupby("candidate", sort=False):
        here = default[default["set"].isin(those["set"])]
        ours, reference = (
            part.groupby("set")[["log_loss", "accuracy"]].median() for part in (those, here)
        )
        lines.append(
            [
                candidate,
                f"{ours['log_loss'].mean():.4f}",
                f"{reference['log_loss'].mean():.4f}",
                count(reference["log_loss"] - ours["log_loss"], "log_loss"),
                f"{ours['accuracy'].mean():.4f}",
                f"{reference['accuracy'].mean():.4f}",
            ]
        )
    header = [
        "variant",
        "log-loss",
        "of the defaults",
        "wins / ties / losses",
        "accuracy",
        "of the defaults",
    ]
    return markdown(header, lines)


def unscaled(rows):
    """Accuracy and log-loss of raw and of scaled features."""
    rows = rows[rows["group"] == "unscaled"]
    lines = []
    for candidate in rows["candidate"].unique():
        for metric in ("accuracy", "log_loss"):
            table = rows[rows["candidate"] == candidate].pivot_table(
                metric, "set", "scaled", "median"
            )
            cells = [
                f"{table[False][name]:.4f} / {table[True][name]:.4f}"
                for name in table.index
            ]
            lines.append(
                [
                    f"`{candidate}`" if "(" in candidate else candidate,
                    metric.replace("_", "-"),
                    *cells,
                ]
            )
    return markdown(["", "raw / scaled", *sorted(rows["set"].unique())], lines)


def regrets(rows):
    """One row for each split of each table and size."""
    keys = ["group", "set", "n_train", "split"]
    fixed = rows[rows["candidate"].str.contains("half decades")]
    auto = rows[rows["candidate"] == "auto"].set_index(keys)
    logistic = rows[rows["candidate"] == "LogisticRegression()"].set_index(keys)["log_loss"]
    table = auto[["alpha", "log_loss", "entropy", "n_features", "n_classes"]].assign(
        best=fixed.groupby(keys)["log_loss"].min(), logistic=logistic
    )
    table["regret"] = table["log_loss"] - table["best"]
    return table.reset_index()


def regret_by_group(table):
    """Mean and largest regret of each kind of data."""
    lines = []
    for group, those in [*table.groupby("group", sort=False), ("all", table)]:
        worst = those.loc[those["regret"].idxmax()]
        lines.append(
            [
                group,
                those["set"].nunique(),
                len(those),
                f"{those['regret'].mean():+.4f}",
                f"{those['regret'].median():+.4f}",
                f"{worst['regret']:+.4f} ({worst['set']}, {worst['n_train']} rows)",
            ]
        )
    return markdown(["", "sets", "fits of auto", "mean", "median", "largest"], lines)


def regret_by_set(table):
    """Of each real table."""
    lines = []
    real = table[table["group"] != "generated"]
    for name, those in real.groupby("set", sort=False):
        first, means = those.iloc[0], those[["log_loss", "best", "logistic"]].mean()
        lines.append(
            [
                name,
                *(first["n_train"], first["n_features"], first["n_classes"]),
                f"{those['alpha'].median():.3g}",
                *(f"{mean:.4f}" for mean in means),
                f"{those['regret'].mean():+.4f}",
                f"{those['regret'].max():+.4f}",
            ]
        )
    header = ["set", "n", "d", "K", "alpha", "auto", "best fixed", "LogisticRegression"]
    return markdown([*header, "mean regret", "largest"], lines)


def regret_by_rows(table):
    """Mean and largest regret of each generated problem and number of rows."""
    curves = table[table["group"] == "generated"].groupby(["set", "n_train"])["regret"]
    mean, most = (part.unstack() for part in (curves.mean(), curves.max()))
    lines = []
    for name in generated.CURVES:
        pairs = zip(mean.loc[name], most.loc[name], strict=True)
        cells = [f"{a:+.4f} ({b:+.4f})" if a == a else "" for a, b in pairs]
        lines.append([name, *cells])
    return markdown(["", *(f"{n} rows" for n in mean)], lines)


def rises(rows):
    """Whether the loss of auto ever rises with more rows, by more than noise."""
    rises = rows.dropna(subset=["rise"])
    lines = []
    for name, those in rises.groupby("set", sort=False):
        those = those.assign(rise=those["rise"] / those["entropy"])
        noise = 2 * those["rise_error"] / those["entropy"]
        worst = those["rise"].idxmax()
        row = those.loc[worst]
        lines.append(
            [
                name,
                len(those),
                (those["rise"] > noise).sum(),
                f"{row['rise']:+.4f} (to {row['n_train']} rows; noise {noise[worst]:.4f})",
            ]
        )
    return markdown(["", "steps", "up by more than noise", "largest rise"], lines)


def draw_rows(table):
    """Loss by rows of auto and of LogisticRegression, of each generated problem."""
    curves = table[table["group"] == "generated"]
    names = list(generated.CURVES)
    figure, axes = plt.subplots(
        ncols=4,
        nrows=-(-len(names) // 4),
        figsize=(10, 5.4),
        layout="constrained",
        sharex=True,
    )
    for name, ax in zip(names, axes.flat, strict=True):
        those = curves[curves["set"] == name]
        for metric, label, colour, style in (
            ("logistic", "LogisticRegression()", COLOURS[THEIRS[1]], "D-"),
            ("best", "best fixed alpha", "0.5", "+--"),
            ("log_loss", 'alpha="auto"', COLOURS[OURS], "o-"),
        ):
            mean = (those[metric] / those["entropy"]).groupby(those["n_train"]).mean()
            ax.plot(mean.index, mean, style, color=colour, label=label, markersize=5)
        ax.set(xscale="log", title=name, ylim=(None, min(ax.get_ylim()[1], 1.3)))
        ax.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=8)
    figure.supxlabel("rows to train on")
    figure.supylabel("log-loss, of a constant: 1")
    figure.savefig(HERE / "defaults_rows.png", dpi=110)


def draw_sets(rows):
    """Log-loss of the four candidates on every set."""
    table = medians(rows, "log_loss")
    table = table.loc[table[THEIRS[0]].sort_values().index]
    figure, ax = plt.subplots(figsize=(8, 5.4), layout="constrained")
    for name in (*THEIRS, OURS):
        ax.plot(
            table[name].clip(lower=1e-3),
            table.index,
            MARKERS[name],
            color=COLOURS[name],
            label=name,
            markersize=8,
            zorder=3 if name == OURS else 2,
        )
    ax.set(
        xscale="log",
        xlabel="log-loss on held-out rows (left is better; less than 0.001 is at 0.001)",
    )
    ax.set_xlim(left=9e-4)
    ax.grid(alpha=0.3)
    ax.legend(loc="upper left")
    ax.set_title("Untuned classifiers on 17 tables, medians of the splits")
    figure.savefig(HERE / "defaults.png", dpi=110)


def draw_alpha(rows):
    """What alpha each set got, beside the log-loss of fixed ones."""
    fixed = rows[rows["candidate"].isin([f"alpha={a}" for a in ("0.01", "0.1", "1", "10")])]
    table = fixed.pivot_table("log_loss", "set", "alpha", "median")
    default = rows[rows["group"] == "default"]
    chosen = default[default["candidate"] == "defaults"].groupby("set")
    figure, (left, right) = plt.subplots(
        ncols=2, figsize=(10, 4.4), layout="constrained", width_ratios=[1, 1.2]
    )
    left.plot(table.columns, table.mean(), "o-", color=COLOURS[THEIRS[0]], label="fixed")
    left.axhline(
        chosen["log_loss"].median().mean(), color=COLOURS[OURS], ls="--", label='"auto"'
    )
    left.set(xscale="log", xlabel="alpha", ylabel="mean log-loss over the sets")
    left.legend()
    left.grid(alpha=0.3)
    best = table.idxmin(axis=1)
    order = best.sort_values().index
    right.plot(best[order], order, "s", color=COLOURS[THEIRS[0]], label="best of the fixed")
    right.plot(
        chosen["alpha"].median()[order], order, "o", color=COLOURS[OURS], label="chosen"
    )
    right.set(xscale="log", xlabel="alpha")
    right.legend()
    right.grid(alpha=0.3)
    figure.savefig(HERE / "defaults_alpha.png", dpi=110)


def main():
    machine, rows = read("quality.json")
    _, study = read("study.json")
    regret_machine, regret_rows = read_regret()
    regret = regrets(regret_rows)
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    table = medians(rows, "seconds").sum()
    warned = rows[(rows["candidate"] == OURS) & rows["warned"]]["set"].unique()
    replacements = {
        "machine": f"{machine['cores']} cores ({machine['processor']}), load at the start "
        f"{machine['load at the start']:.2f}, {machine['date']}; {versions}; float64",
        "splits": str(rows["split"].nunique()),
        "comparison": comparison(rows),
        "log_loss": by_set(rows, "log_loss"),
        "accuracy": by_set(rows, "accuracy"),
        "seconds": markdown(
            [f"`{name}`" for name in [OURS, *THEIRS]],
            [[f"{table[name]:.1f}" for name in [OURS, *THEIRS]]],
        ),
        "ratio": f"{table[THEIRS[0]] / table[OURS]:.1f}",
        "warned": ", ".join(warned) or "none",
        "unscaled": unscaled(study),
        "regret": regret_by_group(regret),
        "regret_by_set": regret_by_set(regret),
        "regret_by_rows": regret_by_rows(regret),
        "rises": rises(regret_rows),
        "regret_date": regret_machine["date"],
    }
    for group in study["group"].unique():
        replacements.setdefault(group, variants(study, group))
    text = (HERE / "defaults.md.in").read_text()
    for name, value in replacements.items():
        text = text.replace(f"@{name}@", value)
    (HERE / "defaults.md").write_text(text)
    draw_sets(rows)
    draw_alpha(study)
    draw_rows(regret)


if __name__ == "__main__":
    main()
