"""The results page of `speed.py`: tables, and a picture."""

import json
import math
from pathlib import Path

PEERS = ["scikit-learn", "PyTorch", "JAX"]
TITLES = {
    "A": "L-BFGS: seconds per evaluation of loss and gradient",
    "B": "Mini-batches: seconds per fit",
    "P": "predict_proba",
}


def best_times(rows):
    """{(kind, work, dtype): {system: (seconds, threads)}} at each one's best threads."""
    best = {}
    for row in rows:
        times = best.setdefault((row["kind"], row["work"], row["dtype"]), {})
        for system, seconds in row["seconds"].items():
            if system not in times or seconds < times[system][0]:
                times[system] = (seconds, row["threads"])
    return best


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def ratios(times):
    """Peers' seconds over ours, and ours over the bare products'."""
    ours = times["skmlp"][0]
    found = {name: times[name][0] / ours for name in PEERS if name in times}
    if "GEMM" in times:
        found["GEMM"] = ours / times["GEMM"][0]
    return found


def as_text(results):
    """The page, in Markdown."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    lines = [
        "# Speed",
        "",
        f"{machine['processor']}, {machine['cores']} cores, load at the start "
        f"{machine['load at the start']:.2f}, {machine['date']}. {versions}.",
        "",
        "Each system at its own best number of threads (in brackets); medians of "
        "interleaved repeats. A ratio above 1 means that skmlp is faster; the last column "
        "is the time of skmlp over that of the bare matrix products of the same work.",
    ]
    best = best_times(results["rows"])
    for kind, title in TITLES.items():
        keys = [key for key in best if key[0] == kind]
        if not keys:
            continue
        systems = [name for name in PEERS if any(name in best[key] for key in keys)]
        floor = ["skmlp / GEMM"] * any("GEMM" in best[key] for key in keys)
        lines += ["", f"## {title}", ""]
        lines += [f"| work | dtype | skmlp, ms | {' | '.join([*systems, *floor])} |"]
        lines += ["|---" * (3 + len(systems) + len(floor)) + "|"]
        for dtype in ("float64", "float32"):
            chosen = [key for key in keys if key[2] == dtype]
            for key in chosen:
                ours, threads = best[key]["skmlp"]
                cells = [key[1], dtype, f"{1e3 * ours:.4g} ({threads})"]
                for name, ratio in ratios(best[key]).items():
                    cells.append(f"{ratio:.2f} ({best[key][name][1]})")
                lines.append(f"| {' | '.join(cells)} |")
            means = [
                geometric_mean(ratios(best[key])[name] for key in chosen)
                for name in ratios(best[chosen[0]])
            ]
            cells = [f"**{mean:.2f}**" for mean in means]
            lines.append(f"| geometric mean | {dtype} | | {' | '.join(cells)} |")
    compiled = [
        row["seconds"]["JAX compile"]
        for row in results["rows"]
        if "JAX compile" in row["seconds"]
    ]
    if compiled:
        lines += [
            "",
            f"JAX's compilation, not counted above: {min(compiled):.2f} to "
            f"{max(compiled):.2f} s a work.",
        ]
    if "memory" in results:
        lines += [
            "",
            "## Memory",
            "",
            "Peak growth during `fit(solver='lbfgs')`, 50 features, ",
        ]
        lines[-1] += "100 hidden units, float64:"
        lines += ["", "| system, rows | MB |", "|---|---|"]
        lines += [f"| {name} | {mb:.0f} |" for name, mb in results["memory"].items()]
    if "busy" in results:
        lines += [
            "",
            "## A busy machine",
            "",
            "Seconds beside two processes that spin, over ",
        ]
        lines[-1] += "seconds alone:"
        lines += ["", "| work | alone, ms | busy, ms | ratio |", "|---|---|---|---|"]
        for name, row in results["busy"].items():
            alone, busy = 1e3 * row["alone"], 1e3 * row["busy"]
            lines.append(f"| {name} | {alone:.4g} | {busy:.4g} | {busy / alone:.2f} |")
    return "\n".join(lines) + "\n"


def draw(results, path):
    """Ratios to each peer, a panel for each family of solvers."""
    import matplotlib.pyplot as plt

    best = best_times(results["rows"])
    colors = {"scikit-learn": "#D55E00", "PyTorch": "#0072B2", "JAX": "#009E73"}
    markers = {"float64": "o", "float32": "s"}
    figure, axes = plt.subplots(
        2, sharex=True, figsize=(9, 7), layout="constrained", height_ratios=[4, 8]
    )
    for axis, kind in zip(axes, "AB", strict=True):
        works = list(dict.fromkeys(key[1] for key in best if key[0] == kind))
        for (key_kind, work, dtype), times in best.items():
            for offset, name in enumerate(PEERS):
                if key_kind == kind and name in times:
                    axis.plot(
                        times[name][0] / times["skmlp"][0],
                        works.index(work) + 0.2 * (offset - 1),
                        markers[dtype],
                        color=colors[name],
                        markerfacecolor=colors[name] if dtype == "float64" else "white",
                        label=f"{name}, {dtype}",
                    )
        axis.axvline(1, color="0.4", linewidth=1)
        axis.set(
            xscale="log",
            yticks=range(len(works)),
            yticklabels=works,
            title=TITLES[kind].split(":")[0],
        )
        ticks = [0.5, 1, 2, 3, 5, 10]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.tick_params(labelbottom=True)
        axis.minorticks_off()
        axis.invert_yaxis()
        axis.grid(axis="x", alpha=0.3)
    axes[-1].set_xlabel(
        "seconds of the peer over seconds of skmlp (right of 1: skmlp is faster)"
    )
    handles, labels = axes[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=3)
    figure.savefig(path, dpi=120)


def write(results, directory):
    """Write results.json, results.md and results.png."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (directory / "results.md").write_text(
        as_text(results) + "\n![Ratios to the peers](results.png)\n"
    )
    draw(results, directory / "results.png")
