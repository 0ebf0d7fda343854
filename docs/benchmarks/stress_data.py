"""The new part of the stress suite: data as they come.

    python docs/benchmarks/stress_data.py                       # about 6 minutes on 2 cores
    python docs/benchmarks/stress_data.py --only "heavy tails"  # printed and not recorded

Heavy tails, units of any size, columns of one unit, streams, uneven partitions and maps of
joblib. Each case has a right answer, which another way gives: another estimator, the same
data in units of one, the fit in memory, one process. A warning excuses nothing, and an
error is wrong. Results go to `stress_data.json`; from it and from `stress.json`,
`stress_report.py` writes the page. Needs `pip install "skmlp[plot,dask]"`; pyarrow adds
cases.
"""

import argparse
import json
from pathlib import Path

import joblib
import stress_report
from quality import machine
from stress_scales import heavy_tails, one_unit, tiny_units
from stress_verdict import measure
from stress_ways import maps, partitions, streams

HERE = Path(__file__).parent
PARTS = (heavy_tails, tiny_units, one_unit, streams, partitions, maps)


def cases():
    """Every case of this part."""
    for part in PARTS:
        yield from part()


def run(only):
    """Rows of the cases of some groups.

    Workers of joblib start no workers, so whatever needs some is run by this process.
    """
    those = [case for case in cases() if only is None or case.group in only]
    pool = joblib.Parallel(n_jobs=2, inner_max_num_threads=1, verbose=1)
    rows = pool(joblib.delayed(measure)(c) for c in those if c.group != "maps of joblib")
    return rows + [measure(case) for case in those if case.group == "maps of joblib"]


def main():
    groups = list(dict.fromkeys(case.group for case in cases()))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", nargs="+", choices=groups, metavar="GROUP", help=", ".join(groups)
    )
    only = parser.parse_args().only
    where, rows = machine(), run(only)
    if only is not None:
        print(*map(json.dumps, rows), sep="\n")
        return
    content = ",\n".join(map(json.dumps, rows))
    (HERE / "stress_data.json").write_text(
        f'{{"machine": {json.dumps(where)},\n"rows": [\n{content}\n]}}\n'
    )
    stress_report.main()


if __name__ == "__main__":
    main()
