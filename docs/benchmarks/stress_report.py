"""Write the page on stress from the recorded results.

python docs/benchmarks/stress_report.py
"""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TOLERANCE = 0.02


def markdown(header, rows):
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def values(rows, key):
    """The different values of a key, in the order of the rows."""
    return list(dict.fromkeys(row[key] for row in rows))


def by_group(rows):
    """Of the problems: how many are right, and the log-losses."""
    names = ("ours", "MLPClassifier", "LogisticRegression")
    lines = []
    for group in [*values(rows, "group"), "all"]:
        those = [row for row in rows if group in (row["group"], "all")]
        means = [f"{np.mean([row[name] for row in those]):.3f}" for name in names]
        lines.append([group, len(those), sum(row["right"] for row in those), *means])
    header = ["group", "cases", "right", "mean log-loss"]
    return markdown([*header, "`MLPClassifier()`", "`LogisticRegression()`"], lines)


def above(rows):
    """The problems whose log-loss is too large, or would be without a warning."""
    lines = [
        f"- {row['group']}: {row['case']}: {row['ours']:.3f}; MLPClassifier "
        f"{row['MLPClassifier']:.3f}, LogisticRegression {row['LogisticRegression']:.3f}. "
        + (f"It warned: {row['warning']}" if row["warning"] else "")
        for row in rows
        if row["excess"] > TOLERANCE
    ]
    return "\n".join(lines) or "None."


def right_by_group(rows):
    """How many are right."""
    lines = []
    for group in [*values(rows, "group"), "all"]:
        right = [row["right"] for row in rows if group in (row["group"], "all")]
        lines.append([group, len(right), sum(right)])
    return markdown(["group", "cases", "right"], lines)


def tails(rows):
    """Log-losses beside those of others, means over the seeds."""
    rows = [row for row in rows if row["group"] == "heavy tails" and not row["error"]]
    lines = []
    for name in values(rows, "name"):
        those = [row for row in rows if row["name"] == name]
        beside = [
            f"{other} {np.mean([row['beside'][other] for row in those]):.3f}"
            for other in those[0]["beside"]
        ]
        right = f"{sum(row['right'] for row in those)} of {len(those)}"
        ours = f"{np.mean([row['ours'] for row in those]):.3f}"
        lines.append([name, right, ours, ", ".join(beside)])
    return markdown(["", "right", "log-loss", "beside"], lines)


def wrong(rows):
    """What was seen where another answer is right."""
    lines = []
    for row in rows:
        if row["right"]:
            continue
        said = row["error"]
        if not said:
            beside = ", ".join(
                f"{name} {value:.3g}" for name, value in row["beside"].items()
            )
            said = (
                f"{row['measure']} {row['ours']:.3g}, at most {row['limit']:.3g} is right"
            )
            said += f" ({beside})" if beside else ""
        lines.append(f"- {row['group']}: {row['name']}, seed {row['seed']}: {said}.")
    return "\n".join(lines) or "None."


def draw_picture(rows, path):
    """How far each case is from the better of the others, by group."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    groups = list(dict.fromkeys(row["group"] for row in rows))
    figure, ax = plt.subplots(figsize=(8, 7), layout="constrained")
    jitter = np.random.default_rng(0).uniform(-0.25, 0.25, size=len(rows))
    for label, colour, kept in (
        ("right", "#0072B2", lambda row: row["excess"] <= TOLERANCE),
        ("warned", "#E69F00", lambda row: row["right"] and row["excess"] > TOLERANCE),
        ("wrong", "#D55E00", lambda row: not row["right"]),
    ):
        points = [
            (row["excess"], groups.index(row["group"]) + offset)
            for row, offset in zip(rows, jitter, strict=True)
            if kept(row)
        ]
        if points:
            ax.plot(*zip(*points, strict=True), "o", ms=5, alpha=0.7, c=colour, label=label)
    ax.axvline(TOLERANCE, color="0.4", lw=1, ls="--")
    ax.set_xscale("symlog", linthresh=0.02)
    ax.set(
        yticks=range(len(groups)),
        yticklabels=groups,
        xlabel="log-loss minus that of the better of MLPClassifier and LogisticRegression\n"
        "(left is better; dashed: 0.02)",
    )
    ax.invert_yaxis()
    ax.grid(alpha=0.3, axis="x")
    ax.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def read(name):
    """Machine, as text, and rows of a file."""
    content = json.loads((HERE / name).read_text())
    where = content["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    return f"{where['date']}; {versions}", content["rows"]


def main():
    machine, rows = read("stress.json")
    data_machine, data_rows = read("stress_data.json")
    values_machine, values_rows = read("stress_values.json")
    text = (HERE / "stress.md.in").read_text()
    for name, value in {
        "table": by_group(rows),
        "others": above(rows),
        "machine": machine,
        "data_table": right_by_group(data_rows),
        "data_tails": tails(data_rows),
        "data_wrong": wrong(data_rows),
        "data_machine": data_machine,
        "values_table": right_by_group(values_rows),
        "values_wrong": wrong(values_rows),
        "values_machine": values_machine,
    }.items():
        text = text.replace(f"@{name}@", value)
    (HERE / "stress.md").write_text(text)
    draw_picture(rows, HERE / "stress.png")


if __name__ == "__main__":
    main()
