"""Evaluations per second of DaskMLPClassifierManual, with 1 and 2 workers.

    python docs/benchmarks/dask_scaling.py            # 2,000,000 x 50: about 3 minutes

Workers are processes of one thread each. The time of a graph of the same shape over
partitions of a single row is what Dask takes to schedule it, to send the parameters and to
add up the gradients; the rest is arithmetic. Results go to `dask_scaling.md`, beside it.
"""

import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

from skmlp import dask as skmlp_dask
from skmlp._network import Network
from skmlp._objective import Objective
from skmlp._parallel import row_threads

N_ROWS, N_FEATURES, N_CLASSES, HIDDEN, N_PARTS = 2_000_000, 50, 3, 100, 20
REPEATS = 7


def objective(n_rows, network):
    """The objective of random rows, persisted on the workers of the present client."""
    rng = da.random.default_rng(0)
    X = rng.normal(size=(n_rows, N_FEATURES), chunks=(n_rows // N_PARTS, N_FEATURES))
    y = da.arange(n_rows, chunks=n_rows // N_PARTS) % N_CLASSES
    data = skmlp_dask._read(skmlp_dask._partitions(X, y, None), True)
    encoded = skmlp_dask._encode(data, data.targets, None, data.dtype, True)
    return skmlp_dask._SumOfParts(network, encoded, 1.0)


def median_seconds(function, theta):
    function(theta)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function(theta)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def in_memory(network, theta):
    """Seconds of an evaluation without Dask, on all threads."""
    X = np.random.default_rng(0).normal(size=(N_ROWS, N_FEATURES))
    k = np.arange(N_ROWS) % N_CLASSES
    with row_threads(64) as map_rows:
        whole = Objective(network, X, k, None, 1.0, map_rows=map_rows)
        return median_seconds(whole.loss_gradient, theta)


def main():
    network = Network((N_FEATURES, HIDDEN, N_CLASSES), "logistic")
    theta = network.initialize(np.random.RandomState(0), np.float64)
    rows = []
    for n_workers in (1, 2):
        with (
            LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
            ) as cluster,
            Client(cluster),
        ):
            full = median_seconds(objective(N_ROWS, network).loss_gradient, theta)
            empty = median_seconds(objective(N_PARTS, network).loss_gradient, theta)
        rows.append((n_workers, full, empty))
        print(f"{n_workers} workers: {full:.3f} s an evaluation, {empty:.3f} s of it Dask")
    local = in_memory(network, theta)
    print(f"in memory: {local:.3f} s")

    (_, one, overhead), (_, two, overhead_2) = rows
    arithmetic = one - overhead  # on one worker
    kilobytes = theta.nbytes / 1e3
    per_part = 1e3 * overhead_2 / N_PARTS
    table = "\n".join(
        f"| {n} | {full:.3f} | {1 / full:.2f} | {empty:.3f} | {100 * empty / full:.1f}% |"
        for n, full, empty in rows
    )
    page = f"""# Scaling of the Dask estimator

{platform.machine()}, 2 cores; Python {platform.python_version()},
numpy {version("numpy")}, dask {version("dask")}.
Loss and gradient of {N_ROWS:,} x {N_FEATURES} float64 in {N_PARTS} partitions,
{HIDDEN} hidden units, {N_CLASSES} classes; medians of {REPEATS}.
Workers are processes of one thread.
In memory, without Dask and on both cores, an evaluation takes {local:.3f} s.

| workers | seconds an evaluation | evaluations a second | of it scheduling, s | share |
|---|---|---|---|---|
{table}

Two workers are {one / two:.2f} times as fast as one.

## Where more workers stop helping

An evaluation sends the parameters to each worker and one gradient from each partition into
the tree of sums: {theta.size:,} numbers, {kilobytes:.0f} kB each way. At 1 GB/s that is
{kilobytes / 1e3:.2f} ms a message, small beside the {per_part:.1f} ms that Dask takes for
each partition's tasks, all in one scheduler. The arithmetic of a partition takes
{1e3 * arithmetic / N_PARTS:.0f} ms and is divided among the workers; the scheduling is not.
With w workers, an evaluation takes about {arithmetic:.2f} / w + {overhead_2:.3f} s: at
w = {arithmetic / overhead_2:.0f} half of the time is scheduling, and more workers gain less
than a factor of 2 altogether. Fewer, larger partitions (at least one a worker) move this
point out in proportion: the scheduling grows with the number of partitions, not of rows.
"""
    Path(__file__).with_suffix(".md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
