"""Write the page on regression from the recorded results.

python docs/benchmarks/regression_report.py
"""

import json
from pathlib import Path

import pandas as pd
from datasets import PROTOCOL
from stress_report import markdown

HERE = Path(__file__).parent
OURS, GAUSSIAN = "MLPRegressorManual()", 'loss="gaussian"'
# Root mean squared errors and negative log-likelihoods, concrete and Boston
PUBLISHED = {
    "PBP [1]": (5.67, 3.01, 3.16, 2.57),
    "MC dropout [2]": (4.81, 2.80, 2.94, 2.39),
    "deep ensembles [3]": (6.03, 3.28, 3.06, 2.41),
    "NGBoost [4]": (5.06, 2.94, 3.04, 2.43),
}


def with_error(values):
    """Mean over the splits, and its standard error; nothing without values."""
    if values.isna().all():
        return ""
    return f"{values.mean():.2f} ± {values.sem():.2f}"


def protocol(rows):
    """Errors and likelihoods on the two tables, beside published ones."""
    lines = []
    for candidate, those in rows.groupby("candidate", sort=False):
        cells = [
            with_error(those.loc[those["set"] == name, metric])
            for metric in ("rmse", "nll")
            for name in PROTOCOL
        ]
        lines.append([f"`{candidate}`", *cells])
    lines += [[name, *(f"{value:.2f}" for value in row)] for name, row in PUBLISHED.items()]
    header = [f"{metric}, {name}" for metric in ("RMSE", "NLL") for name in PROTOCOL]
    return markdown(["", *header], lines)


def by_set(rows, metric, digits):
    """Medians over the splits, the smallest in bold."""
    names = list(dict.fromkeys(rows["candidate"]))
    table = rows.pivot_table(metric, "set", "candidate", "median")[names]
    sizes = rows.groupby("set")[["n_train", "n_features"]].first()
    lines = []
    for name, row in table.iterrows():
        texts = [f"{value:.{digits}f}" for value in row]
        least = f"{row.min():.{digits}f}"
        cells = [f"**{text}**" if text == least else text for text in texts]
        lines.append([name, *sizes.loc[name], *cells])
    return markdown(["set", "n", "d", *(f"`{name}`" for name in names)], lines)


def counts(rows):
    """On how many tables our error is at most that of each other."""
    table = rows.pivot_table("relative", "set", "candidate", "median")
    others = [name for name in table if name not in (OURS, GAUSSIAN)]
    sentences = [
        f"`{name}` on {(table[OURS] <= table[name]).sum()} of {len(table)}"
        for name in others
    ]
    return ", ".join(sentences)


def main():
    content = json.loads((HERE / "regression.json").read_text())
    where, rows = content["machine"], pd.DataFrame(content["rows"])
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    is_protocol = rows["set"].isin(PROTOCOL)
    text = (HERE / "regression.md.in").read_text()
    for name, value in {
        "protocol": protocol(rows[is_protocol]),
        "errors": by_set(rows[~is_protocol], "relative", 3),
        "seconds": by_set(rows, "seconds", 2),
        "counts": counts(rows[~is_protocol]),
        "machine": f"{where['date']}; {versions}",
    }.items():
        text = text.replace(f"@{name}@", value)
    (HERE / "regression.md").write_text(text)


if __name__ == "__main__":
    main()
