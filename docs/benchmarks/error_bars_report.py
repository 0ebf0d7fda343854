"""Write the page on error bars from the recorded results.

python docs/benchmarks/error_bars_report.py
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
TIE, LEVEL = 0.01, 0.9
NAMES = {
    "net": "the net",
    "four nets": "four nets",
    "temperature": "temperature scaling",
    "last layer": "Laplace, last layer",
    "last layer, averaged": "the same, averaged",
    "last layer, 10": "the same, prior x 10",
    "last layer, 100": "prior x 100",
    "last layer, 1000": "prior x 1000",
    "all weights": "Laplace, all weights",
    "all weights, averaged": "the same, averaged",
}
SHOWN = [
    "net",
    "four nets",
    "temperature",
    "last layer",
    "last layer, averaged",
    "all weights",
]


def markdown(header, rows):
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def flat(rows):
    """A frame with a line for each table, split and candidate."""
    lines = []
    for row in rows:
        for name, scores in row["candidates"].items():
            line = {"table": row["table"], "candidate": name}
            for key, value in scores.items():
                if isinstance(value, list):
                    line[f"{key}, coverage"], line[f"{key}, size"] = value
                else:
                    line[key] = value
            lines.append(line)
    return pd.DataFrame(lines)


def by_table(frame, metric):
    """Means over the splits: a row for each table, a column for each candidate."""
    return frame.pivot_table(metric, "table", "candidate", sort=False)


def means(frame):
    losses, errors = by_table(frame, "log_loss"), by_table(frame, "ece")
    seconds = by_table(frame, "seconds")
    small = losses["all weights"].notna()
    lines = []
    for name, words in NAMES.items():
        gain = (losses["net"] - losses[name]).dropna()
        better, worse = (gain > TIE).sum(), (gain < -TIE).sum()
        everywhere = losses[name].notna().all()
        ratio = np.exp(np.log(losses[name] / losses["net"]).mean())
        cells = [
            f"{losses[name].mean():.3f}" if everywhere else "",
            f"{losses[name][small].mean():.3f}",
            f"{ratio:.2f}",
            f"{better} / {len(gain) - better - worse} / {worse}" if name != "net" else "",
            f"{errors[name].mean():.3f}" if everywhere else "",
            f"{errors[name][small].mean():.3f}",
            f"{seconds[name].mean():.2f}" if name in seconds else "",
        ]
        lines.append([words, *cells])
    header = [
        "",
        "log-loss",
        f"{small.sum()} small",
        "ratio",
        "better / same / worse",
        "calibration error",
        f"{small.sum()} small",
        "seconds",
    ]
    return markdown(header, lines)


def each(frame, metric):
    """A metric of the main candidates on each table, the best in bold."""
    table = by_table(frame, metric)[SHOWN]
    lines = []
    for name, row in table.iterrows():
        cells = ["" if np.isnan(value) else f"{value:.4f}" for value in row]
        best = cells[row.argmin()]
        cells = [f"**{cell}**" if cell == best else cell for cell in cells]
        lines.append([name, *cells])
    return markdown(["", *(NAMES[name] for name in SHOWN)], lines)


def sets(frame):
    """Coverage and size of sets, on all tables and on those that are hard for the net."""
    accuracy = by_table(frame, "accuracy")["net"]
    hard = frame["table"].isin(accuracy.index[accuracy < LEVEL])
    lines = []
    for name in ("net", "four nets", "temperature", "last layer", "MAPIE"):
        cells = [NAMES.get(name, name)]
        kind = "sets" if name == "MAPIE" else "adding up"
        for part in (frame, frame[hard]):
            means = part[part["candidate"] == name].mean(numeric_only=True)
            least = means["at threshold, size"]
            cells += [
                f"{means[f'{kind}, coverage']:.1%} by {means[f'{kind}, size']:.2f}",
                "" if np.isnan(least) else f"{least:.2f}",
            ]
        lines.append(cells)
    header = [
        "",
        "all tables",
        "in hindsight",
        f"{sum(accuracy < LEVEL)} hard",
        "in hindsight",
    ]
    return markdown(header, lines)


def alphas(rows):
    frame = pd.DataFrame(rows)
    values = frame["alpha"].unique()
    lines = []
    for name, part in frame.groupby("table", sort=False):
        losses = np.array(part["losses"].tolist())
        ratio = losses[:, 1].min() / losses[:, 0].min()
        cells = [f"{ours:.3f} → {theirs:.3f}" for ours, theirs in losses]
        lines.append([name, *cells, f"{ratio:.1f}"])
    return markdown(["", *(f"{value:g}" for value in values), "best / best"], lines)


def areas(rows):
    names = {
        "net": "entropy of the net",
        "four nets": "entropy of four nets",
        "last layer": "entropy of Laplace, last layer",
        "IsolationForest": "IsolationForest",
        "LocalOutlierFactor": "LocalOutlierFactor",
    }
    means = {
        key: pd.DataFrame(row[key] for row in rows).mean() for key in ("novel", "wrong")
    }
    lines = [
        [words, f"{means['novel'][name]:.3f}", f"{means['wrong'][name]:.3f}"]
        for name, words in names.items()
    ]
    return markdown(["", "rows of unknown classes", "the net's errors"], lines)


def moons(rows):
    lines = []
    for name in ("net", "four nets", "last layer", "all weights"):
        loss = np.mean([row["log_loss"][name] for row in rows])
        confidence = np.mean([row["confidence"][name] for row in rows], axis=0)
        lines.append([NAMES[name], f"{loss:.3f}", *(f"{c:.3f}" for c in confidence)])
    return markdown(["", "log-loss", "confidence at 3", "at 10", "at 100"], lines)


def flagged(rows, name):
    """Percentages of new rows, and of the nearest ring, that a detector objects to."""
    near, ring, *_ = np.mean([row["flagged"][name] for row in rows], axis=0)
    return f"{near:.0%} of the new rows and {ring:.0%} of the nearest ring"


def main():
    results = json.loads((HERE / "error_bars.json").read_text())
    machine, frame = results["machine"], flat(results["tables"])
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    replacements = {
        "machine": f"{machine['processor']}, {machine['cores']} cores, "
        f"{machine['threads']} thread(s), load at the start "
        f"{machine['load at the start']:.1f}; {versions}; float64",
        "minutes": f"{machine['seconds'] / 60:.0f}",
        "means": means(frame),
        "log_loss": each(frame, "log_loss"),
        "ece": each(frame, "ece"),
        "sets": sets(frame),
        "alphas": alphas(results["alphas"]),
        "areas": areas(results["novelties"]),
        "moons": moons(results["moons"]),
        "forest": flagged(results["moons"], "IsolationForest"),
        "factor": flagged(results["moons"], "LocalOutlierFactor"),
    }
    text = (HERE / "error_bars.md.in").read_text()
    for name, value in replacements.items():
        text = text.replace(f"@{name}@", value)
    (HERE / "error_bars.md").write_text(text)


if __name__ == "__main__":
    main()
