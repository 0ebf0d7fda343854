"""The results page of `speed.py`: tables, and pictures."""

import json
import math
from pathlib import Path

OURS, PLAIN, FLOOR = "skmlp", "skmlp, standardize=False", "GEMM"
GIVEN = "skmlp, best_params_"
PEERS = ["scikit-learn", "PyTorch", "JAX"]
TYPES = ["float64", "float32"]
ONE_ROW = "one row"
# Of the summary: label, kind, what is measured, and of which of ours
SUMMARY = [
    ("loss and gradient of all rows", "evaluation", "seconds", OURS),
    ("the same, `standardize=False`", "evaluation", "seconds", PLAIN),
    ("a fit by mini-batches", "mini-batches", "seconds", OURS),
    ("the same, `standardize=False`", "mini-batches", "seconds", PLAIN),
    ("a default fit of a table", "tables", "cpu", OURS),
    ("`predict_proba` of one row", "predict", "seconds", OURS),
]
RATIOS = """
A ratio is a peer's seconds over those of skmlp with its defaults: above 1, skmlp is
faster. Each system is at its own best number of threads, in brackets; medians of
interleaved repeats. The slowest quarter of the ratios is named below each table.
"""
OWN = """
Rows x features, classes, hidden units. The column standardize=False has the seconds of
that over those with the defaults, the last one the seconds of skmlp over those of the
bare matrix products of the same work. "... of standardize=False" are the means of the
ratios to its own seconds.
"""
TABLES = """
Default fits, `MLPClassifierManual(random_state=0)`, which chooses its penalty first, and
`MLPClassifier(random_state=0)`: medians of interleaved repeats, float64, at the better
number of threads, in brackets. At most 4000 rows of each table, of which a quarter is
held out; numbers are standardised for both. CPU: seconds of all threads together. The
last two columns are the log-loss on the held-out rows.
"""
NETS = """
As above, of nets with more and larger layers, and `HalvingGridSearchCV` over four sizes of
one layer. The search for the penalty is in proportion to the fit: the column "in fits" has
the seconds of CPU of a default fit over those of one with `best_params_`, which repeats the
choice without the search.
"""
RACE = """
Seconds of training until the held-out log-loss is as small as the target at the head of
the column: {margins} times the best one in 200 epochs of MLPClassifier's Adam. A dash is a
target that is not reached by the end of the fit, or in {cap} seconds. All have 100
units (logistic ones for skmlp, ReLU for the others), batches of 200 rows, float64 and one
penalty, alpha = 1; only the defaults of skmlp have to choose it, while the clock runs.
The clock stands while the held-out loss is computed; `speed_race.py` says how each one is
stopped. Each is at its best number of threads. Below each table are the seconds of the
fastest way of a peer over those of the fastest way of skmlp, for each target; a dash is
there if one of the two does not reach it.
"""
GROWTH = """
Fits with all threads, each in a process of its own, float64:
`MLPClassifierManual(random_state=0)`, and `MLPClassifier(random_state=0)` after a
StandardScaler, which counts. MB is the growth of the peak memory during the fit, log-loss
that of 500 other rows. Fits of less than 5 seconds are medians; one that takes longer
than the cap is ended there. (The three iterations of L-BFGS are for its memory: both
have solver="lbfgs", alpha=1.)
"""
BUSY = """
Milliseconds beside two processes that spin, over milliseconds alone, with all threads and
the defaults, float64:
"""
# Kinds whose works are compared by ratios: title and text
KINDS = {
    "evaluation": ("L-BFGS: an evaluation of loss and gradient", OWN),
    "mini-batches": ("Mini-batches: a fit of some epochs", OWN),
    "predict": ("predict_proba", "Of 50 features, 5 classes, 100 hidden units."),
}


# --- numbers ------------------------------------------------------------------------------


def best_times(rows, kind, measure="seconds"):
    """{(work, dtype): {system: (seconds, threads)}} at each one's best threads."""
    best = {}
    for row in rows:
        if row["kind"] == kind:
            times = best.setdefault((row["work"], row["dtype"]), {})
            for system, seconds in row[measure].items():
                if system not in times or seconds < times[system][0]:
                    times[system] = (seconds, row["threads"])
    return best


def ratios(best, theirs, ours=OURS, dtype=None):
    """{(work, dtype): their seconds over ours}."""
    return {
        key: times[theirs][0] / times[ours][0]
        for key, times in best.items()
        if theirs in times and ours in times and dtype in (None, key[1])
    }


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values))


def slowest_quarter(found):
    """The smallest quarter of the ratios {(name, kind): ratio}, by name."""
    slowest = sorted(found, key=found.get)[: math.ceil(len(found) / 4)]
    mean = geometric_mean(found[key] for key in slowest)
    named = "; ".join(f"{name} ({kind}) {found[name, kind]:.2f}" for name, kind in slowest)
    return f"{named}; geometric mean {mean:.2f}"


# --- the page -----------------------------------------------------------------------------


def as_text(results):
    """The page, in Markdown."""
    rows = results["rows"]
    parts = [_head(results["machine"]), _summary(rows)]
    for kind, (title, text) in KINDS.items():
        parts.append(_section(title, text, _ratio_table(rows, kind)))
        if kind == "mini-batches":
            parts += [
                _section("Default fits of tables", TABLES, _tables(rows, "tables")),
                _section("Nets that are large for their data", NETS, _tables(rows, "nets")),
                _section("Time to the same held-out loss", _about_race(rows), _race(rows)),
            ]
    parts += [
        _section("Growth", GROWTH, _growth(results.get("growth", []))),
        _section("A busy machine", BUSY, _busy(results.get("busy", {}))),
    ]
    return "\n".join(line for lines in parts for line in lines) + "\n"


def _head(machine):
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return [
        "# Speed",
        "",
        f"{machine['processor']}, {machine['cores']} cores, load at the start "
        f"{machine['load at the start']:.2f}, {machine['date']}. {versions}.",
        "",
        " ".join(RATIOS.split()),
    ]


def _section(title, text, lines):
    """A title, a paragraph and what follows; nothing if that is empty."""
    paragraph = " ".join(text.split())
    return ["", f"## {title}", "", paragraph, "", *lines] if lines else []


def _markdown(header, rows):
    rule = ["---"] * len(header)
    return ["| " + " | ".join(map(str, row)) + " |" for row in [header, rule, *rows]]


def _summary(rows):
    """How many times as fast as each peer, geometric means."""
    lines = []
    for label, kind, measure, ours in SUMMARY:
        best = best_times(rows, kind, measure)
        if kind == "predict":
            best = {key: times for key, times in best.items() if key[0] == ONE_ROW}
        if best:
            lines.append([label, *(_means(best, peer, ours) for peer in PEERS)])
    text = "Geometric means over all works below, float64 / float32:"
    header = ["how many times as fast as", "MLPClassifier", *PEERS[1:]]
    return _section("Summary", text, _markdown(header, lines) if lines else [])


def _means(best, peer, ours):
    found = [ratios(best, peer, ours, dtype) for dtype in TYPES]
    return " / ".join(f"{geometric_mean(of.values()):.2f}" for of in found if of)


def _ratio_table(rows, kind):
    best = best_times(rows, kind)
    present = {system for times in best.values() for system in times}
    others = [name for name in [PLAIN, *PEERS, FLOOR] if name in present]
    if not others:
        return []
    titles = {PLAIN: "standardize=False", FLOOR: "skmlp / GEMM"}
    header = ["work", "dtype", "skmlp, ms", *(titles.get(name, name) for name in others)]
    labels = {row["work"]: row["label"] for row in rows if row["kind"] == kind}
    lines = []
    for dtype in TYPES:
        for (work, of), times in best.items():
            if of == dtype:
                ours = _milliseconds(times[OURS])
                cells = (_cell(times, name) for name in others)
                lines.append([labels[work], dtype, ours, *cells])
        lines += _mean_rows(best, others, dtype)
    return [*_markdown(header, lines), *_quarters(best), *_compilation(rows, kind)]


def _milliseconds(timed):
    return f"{1e3 * timed[0]:.4g} ({timed[1]})"


def _cell(times, name):
    if name not in times:
        return ""
    ratio = times[name][0] / times[OURS][0]
    return f"{1 / ratio if name == FLOOR else ratio:.2f} ({times[name][1]})"


def _mean_rows(best, others, dtype):
    """Geometric means of the ratios; those of standardize=False are to its own times."""
    for ours, label in ((OURS, "geometric mean"), (PLAIN, "... of standardize=False")):
        cells = []
        for name in others:
            found = ratios(best, name, ours, dtype)
            mean = geometric_mean(found.values()) if found else math.nan
            cells.append(f"**{1 / mean if name == FLOOR else mean:.2f}**" if found else "")
        if any(cells):
            yield [label, dtype, "", *cells]


def _quarters(best):
    """A line for each peer."""
    found = {peer: ratios(best, peer) for peer in PEERS}
    return [""] + [
        f"- The slowest quarter against {peer}: {slowest_quarter(of)}."
        for peer, of in found.items()
        if of
    ]


def _compilation(rows, kind):
    seconds = [row["seconds"].get("JAX compile") for row in rows if row["kind"] == kind]
    seconds = [one for one in seconds if one is not None]
    if not seconds:
        return []
    return [
        "",
        f"JAX's compilation, not counted above: {min(seconds):.2f} to {max(seconds):.2f} s "
        "a work.",
    ]


def _tables(rows, kind):
    theirs = PEERS[0]
    cpu, clock = best_times(rows, kind, "cpu"), best_times(rows, kind)
    facts = {row["work"]: row for row in rows if row["kind"] == kind}
    has_given = any(GIVEN in times for times in cpu.values())
    header = ["table", "rows x features, classes", "skmlp, s of CPU", "MLPClassifier"]
    header += ["ratio", "ratio by the clock", "loss of skmlp", "of MLPClassifier"]
    header += ["in fits"] * has_given
    lines = []
    for key, times in cpu.items():
        n, d, n_classes = facts[key[0]]["shape"]
        losses = facts[key[0]]["log_loss"]
        seconds = [f"{times[name][0]:.2f} ({times[name][1]})" for name in (OURS, theirs)]
        of_key = [ratios({key: of[key]}, theirs) for of in (cpu, clock)]
        lines.append([key[0], f"{n} x {d}, {n_classes}", *seconds])
        lines[-1] += [f"{one:.2f}" for of in of_key for one in of.values()]
        lines[-1] += [f"{losses[name]:.3f}" for name in (OURS, theirs)]
        if has_given:
            lines[-1].append(f"{times[OURS][0] / times[GIVEN][0]:.1f}")
    if not lines:
        return []
    means = [geometric_mean(ratios(of, theirs).values()) for of in (cpu, clock)]
    lines.append(["geometric mean", "", "", "", *(f"**{m:.2f}**" for m in means), "", ""])
    lines[-1] += [""] * has_given
    return [*_markdown(header, lines), *_quarters(cpu)]


def _about_race(rows):
    found = [row for row in rows if row["kind"] == "race"]
    if not found:
        return ""
    *most, last = map(str, found[0]["margins"])
    return RACE.format(margins=f"{', '.join(most)} and {last}", cap=found[0]["cap"])


def _race(rows):
    """Each contestant's seconds to the targets, a table for each set of data."""
    runs, lines = {}, []
    for row in rows:
        if row["kind"] == "race":
            runs.setdefault(row["work"], []).append(row)
    for work, found in runs.items():
        times = {
            name: list(map(_least, *(row["seconds"][name] for row in found)))
            for name in found[0]["seconds"]
        }
        header = [work, *(f"{target:.4f}" for target in found[0]["targets"])]
        table = [[name, *_cells(seconds)] for name, seconds in times.items()]
        lines += ["", *_markdown(header, table), "", _race_ratios(times)]
    return lines[1:]


def _least(*seconds):
    return min((one for one in seconds if one is not None), default=None)


def _cells(numbers):
    return ["-" if number is None else f"{number:.2f}" for number in numbers]


def _race_ratios(times):
    """The best way of each peer over the best way of skmlp."""
    best, named = {}, []
    for name, seconds in times.items():
        best.setdefault(name.partition(", ")[0], []).append(seconds)
    best = {system: list(map(_least, *ways)) for system, ways in best.items()}
    for peer in filter(best.get, PEERS):
        pairs = zip(best[peer], best[OURS], strict=True)
        found = [None if None in pair else pair[0] / pair[1] for pair in pairs]
        named.append(f"{peer} {', '.join(_cells(found))}")
    return f"- Ratios of the fastest ways: {'; '.join(named)}."


def _growth(rows):
    header = ["what grows", "size", "skmlp, s", "MLPClassifier, s", "ratio"]
    header += ["skmlp, MB", "MLPClassifier, MB", "loss of skmlp", "of MLPClassifier"]
    points, found, lines = pair_up(rows), {}, []
    for (family, size), (ours, theirs) in points.items():
        ratio = theirs["seconds"] / ours["seconds"]
        size = size if isinstance(size, str) else f"{size:,}"
        found[size, family] = ratio
        sign = {(1, 0): "< ", (0, 1): "> "}.get((is_capped(ours), is_capped(theirs)), "")
        lines.append([family, size, _seconds(ours), _seconds(theirs), f"{sign}{ratio:.2f}"])
        lines[-1] += [f"{of['MB']:.0f}" for of in (ours, theirs)]
        lines[-1] += [_loss(of) for of in (ours, theirs)]
    if not lines:
        return []
    quarter = f"- The slowest quarter: {slowest_quarter(found)}."
    return [*_markdown(header, lines), "", quarter]


def pair_up(rows):
    """{(family, size): (ours, MLPClassifier's)}."""
    points = {}
    for row in rows:
        points.setdefault((row["family"], row["size"]), {})[row["system"]] = row
    return {key: (of[OURS], of[PEERS[0]]) for key, of in points.items()}


def is_capped(row):
    return "capped" in row


def _seconds(row):
    return f"> {row['seconds']:.0f}" if is_capped(row) else f"{row['seconds']:.2f}"


def _loss(row):
    return "" if is_capped(row) else f"{row['log_loss']:.3f}"


def _busy(found):
    lines = []
    for work, row in found.items():
        alone, busy = 1e3 * row["alone"], 1e3 * row["busy"]
        lines.append([work, f"{alone:.4g}", f"{busy:.4g}", f"{busy / alone:.2f}"])
    return _markdown(["work", "alone", "busy", "ratio"], lines) if lines else []


# --- the pictures -------------------------------------------------------------------------

COLORS = {OURS: "#CC79A7", "scikit-learn": "#D55E00", "PyTorch": "#0072B2"}
COLORS["JAX"] = "#009E73"


def draw_ratios(rows, path):
    """Ratios to each peer, a panel for each kind of work."""
    import matplotlib.pyplot as plt

    panels = {
        "Loss and gradient of all rows": best_times(rows, "evaluation"),
        "Mini-batches": best_times(rows, "mini-batches"),
        "Default fits of tables, seconds of CPU": best_times(rows, "tables", "cpu"),
    }
    heights = [len({work for work, _ in best}) + 1 for best in panels.values()]
    figure, axes = plt.subplots(
        3, sharex=True, figsize=(9, 11), layout="constrained", height_ratios=heights
    )
    for axis, (title, best) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, title, best)
    axes[-1].set_xlabel(
        "seconds of the peer over seconds of skmlp with its defaults (right of 1: "
        "skmlp is faster)"
    )
    _legend(figure, axes)
    figure.savefig(path, dpi=120)


def _draw_panel(axis, title, best):
    works = list(dict.fromkeys(work for work, _ in best))
    for (work, dtype), times in best.items():
        for offset, name in enumerate(PEERS):
            if name in times:
                axis.plot(
                    times[name][0] / times[OURS][0],
                    works.index(work) + 0.2 * (offset - 1),
                    {"float64": "o", "float32": "s"}[dtype],
                    color=COLORS[name],
                    markerfacecolor=COLORS[name] if dtype == "float64" else "white",
                    label=f"{name}, {dtype}",
                )
    axis.axvline(1, color="0.4", linewidth=1)
    axis.set(xscale="log", yticks=range(len(works)), yticklabels=works, title=title)
    ticks = [0.2, 0.5, 1, 2, 5, 10, 20]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.tick_params(labelbottom=True)
    axis.minorticks_off()
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)


def draw_growth(rows, path):
    """Seconds and peak memory of default fits, a column for each thing that grows."""
    import matplotlib.pyplot as plt

    families = list(dict.fromkeys(row["family"] for row in rows))
    figure, axes = plt.subplots(
        2,
        len(families),
        sharex="col",
        sharey="row",
        squeeze=False,
        figsize=(2.8 * len(families), 6),
        layout="constrained",
    )
    for column, family in zip(axes.T, families, strict=True):
        chosen = [row for row in rows if row["family"] == family]
        for axis, measure in zip(column, ("seconds", "MB"), strict=True):
            _draw_curves(axis, measure, chosen)
        column[0].set_title(family.replace(", ", ",\n"), fontsize=10)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("growth of the peak memory, MB")
    _legend(figure, axes.ravel())
    figure.savefig(path, dpi=120)


def _legend(figure, axes):
    """Each label of the panels once."""
    found = [axis.get_legend_handles_labels() for axis in axes]
    unique = {label: handle for of in found for handle, label in zip(*of, strict=True)}
    figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=3)


def _draw_curves(axis, measure, rows):
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    are_numbers = not isinstance(sizes[0], str)
    for name, label in ((OURS, OURS), (PEERS[0], "MLPClassifier")):
        chosen = [row for row in rows if row["system"] == name]
        x = [row["size"] if are_numbers else sizes.index(row["size"]) for row in chosen]
        y = [max(row[measure], 1 if measure == "MB" else 0) for row in chosen]
        line = "-o" if are_numbers else "o"
        axis.plot(x, y, line, color=COLORS[name], label=label)
        for x_, y_, row in zip(x, y, chosen, strict=True):
            if is_capped(row):
                axis.plot(
                    x_,
                    y_,
                    "^",
                    color=COLORS[name],
                    markersize=11,
                    markerfacecolor="white",
                    label=f"{label}, ended at the cap",
                )
    axis.set(yscale="log", xscale="log" if are_numbers else "linear")
    axis.grid(alpha=0.3)
    if not are_numbers:
        axis.set_xticks(range(len(sizes)), [size.replace(", ", ",\n") for size in sizes])
        axis.tick_params("x", labelsize=7)
        axis.set_xlim(-0.5, len(sizes) - 0.5)


def write(results, directory):
    """Write results.json, results.md, results.png and growth.png."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (directory / "results.md").write_text(
        as_text(results)
        + "\n![Ratios to the peers](results.png)\n"
        + "\n![Seconds and memory of default fits](growth.png)\n"
    )
    draw_ratios(results["rows"], directory / "results.png")
    if results["growth"]:
        draw_growth(results["growth"], directory / "growth.png")
