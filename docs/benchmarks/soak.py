"""Ten minutes of everything at once, after which the process is as it was before.

    python docs/benchmarks/soak.py                # 600 seconds
    python docs/benchmarks/soak.py --seconds 60

Python threads fit and predict beside KMeans, which limits BLAS for itself; children are
forked while fits run; streams are trained by `partial_fit`; grid searches are
interrupted; fits fail. At the end the limits of BLAS, the number of Python threads and of
file handles must be what they were after the first round, and so must the memory, but for
what the allocator keeps. Results go to `soak.md`, beside it. POSIX only.
"""

import argparse
import gc
import os
import platform
import signal
import threading
import time
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info, threadpool_limits

from skmlp import MLPClassifierManual
from skmlp._parallel import _hold_blas

PAGE = Path(__file__).with_name("soak.md")
# Bytes by which the memory may grow after the first round: pools of the allocator
MOST_GROWTH = 30 * 2**20
FIRST_ROUND = 15
# Seconds after which a child that was forked hangs, and the most of them that may
PATIENCE = 20
MOST_HUNG = 0.01
PRESSED_AGAIN = "Ctrl-C that Python dropped"
HUNG = "child hung in Python's fork"


def state():
    """What a citizen leaves as it was."""
    limits = [
        each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"
    ]
    gc.collect()
    return {
        "limits of BLAS": limits,
        "fits that hold BLAS": len(_hold_blas._users) + len(_hold_blas._limits),
        "threads": threading.active_count(),
        "file handles": len(os.listdir("/proc/self/fd")),
        "memory": int(Path("/proc/self/statm").read_text().split()[1])
        * os.sysconf("SC_PAGE_SIZE"),
    }


class Work:
    """Jobs that Python threads take turns at until the time is over.

    Attributes
    ----------
    done : Counter
        How often each was done.
    errors : list of Exception
        Of jobs that did not end as they should.
    """

    def __init__(self, seconds):
        self.digits = load_digits(return_X_y=True)
        self.iris = load_iris(return_X_y=True)
        self.model = MLPClassifierManual(20, alpha=1.0, max_iter=10, random_state=0)
        self.expected = clone(self.model).fit(*self.digits)
        self.stream = MLPClassifierManual(20, random_state=0)
        self.done, self.errors = Counter(), []
        self._end = time.monotonic() + seconds

    def run(self):
        """All jobs in threads, and interrupted searches in this one."""
        jobs = [self.fit, self.search_alpha, self.predict, self.cluster]
        jobs += [self.go_on, self.fail, self.fork]
        threads = [threading.Thread(target=self._repeat, args=[job]) for job in jobs]
        for thread in threads:
            thread.start()
        self._repeat(self.interrupt)
        for thread in threads:
            thread.join()

    def _repeat(self, job):
        while time.monotonic() < self._end and not self.errors:
            try:
                job()
            except Exception as error:
                self.errors.append(error)
            self.done[job.__name__] += 1

    def fit(self):
        """A fit gives the same bits, whatever else goes on."""
        fitted = clone(self.model).fit(*self.digits)
        np.testing.assert_array_equal(fitted.coefs_[0], self.expected.coefs_[0])

    def search_alpha(self):
        """A default fit."""
        MLPClassifierManual(random_state=0).fit(*self.iris)

    def predict(self):
        """One estimator predicts in several threads."""
        found = self.expected.predict_proba(self.digits[0])
        np.testing.assert_allclose(found.sum(axis=1), 1)

    def cluster(self):
        """KMeans limits BLAS to one thread for itself, here within a limit of ours."""
        n_clusters = 2 + self.done["cluster"] % 30
        with threadpool_limits(2 + self.done["cluster"] % 2, user_api="blas"):
            KMeans(n_clusters, n_init=1, max_iter=5, random_state=0).fit(self.digits[0])

    def go_on(self):
        """A stream."""
        self.stream.partial_fit(*self.iris, classes=[0, 1, 2])

    def fail(self):
        """A fit that diverges."""
        X, y = self.iris
        settings = {"solver": "sgd", "learning_rate_init": 1e300, "random_state": 0}
        try:
            MLPClassifierManual(5, alpha=0.0, activation="relu", **settings).fit(X, y)
        except ValueError:
            return
        raise AssertionError("the fit did not diverge")

    def fork(self):
        """A child that is forked while fits run is not held to one thread.

        It multiplies no matrices: OpenBLAS may have left a lock taken there. Python itself
        hangs in one child of a thousand or so, before its first statement, if it is forked
        while other threads come and go: those are counted.
        """
        child = os.fork()
        if child == 0:
            os._exit(len(_hold_blas._users) + len(_hold_blas._limits))
        end, ended, status = time.monotonic() + PATIENCE, 0, 0
        while not ended and time.monotonic() < end:
            time.sleep(0.01)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self.done[HUNG] += 1
        elif status:
            raise AssertionError(f"the child ended with {status}")
        time.sleep(0.1)

    def interrupt(self):
        """Ctrl-C ends a grid search.

        It is pressed again where it does not: Python drops an interrupt that comes while C
        code asks whether an object has an attribute (`PyObject_HasAttr`).
        """
        over, presses = threading.Event(), []

        def press():
            wait = 0.3
            while not over.wait(wait):
                presses.append(wait)
                os.kill(os.getpid(), signal.SIGINT)
                wait = 5.0  # by then a search that has heard of it is over

        user = threading.Thread(target=press)
        grid = {"alpha": [0.1, 1.0, 10.0] * 20}
        try:
            user.start()
            GridSearchCV(clone(self.model), grid).fit(*self.digits)
            raise AssertionError("the search was not interrupted")
        except KeyboardInterrupt:
            over.set()
            user.join()
        self.done[PRESSED_AGAIN] += len(presses) - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    seconds = parser.parse_args().seconds
    warnings.simplefilter("ignore")
    # a shell lets its jobs in the background ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    limits = state()["limits of BLAS"]
    Work(min(seconds, FIRST_ROUND)).run()
    before = state()
    work = Work(seconds)
    work.run()
    after = state()
    for error in work.errors:
        raise error
    unlike = {name for name in before if name != "memory" and after[name] != before[name]}
    if before["limits of BLAS"] != limits:
        unlike.add("limits of BLAS")
    if after["memory"] - before["memory"] > MOST_GROWTH:
        unlike.add("memory")
    if work.done[HUNG] > MOST_HUNG * work.done["fork"]:
        unlike.add("children")
    print(before, after, dict(work.done), sep="\n")
    if unlike:
        raise SystemExit(f"Not as it was: {', '.join(sorted(unlike))}")
    PAGE.write_text(report(seconds, before, after, work.done))


def report(seconds, before, after, done):
    """The page, in Markdown."""
    packages = ("skmlp", "numpy", "scipy", "scikit-learn", "threadpoolctl")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    rows = [
        f"| {name} | {_shown(before[name])} | {_shown(after[name])} |" for name in before
    ]
    jobs = ", ".join(f"{name} {number}" for name, number in done.most_common())
    return "\n".join(
        [
            "# A soak",
            "",
            "Threads that fit and predict beside KMeans, forks, streams, grid searches",
            "that are interrupted, and fits that fail, all at once in one process; and",
            "what the process was like before and after. Written by",
            "`docs/benchmarks/soak.py`.",
            "",
            f"{seconds:.0f} seconds, {os.cpu_count()} processors ({platform.machine()}),",
            f"Python {platform.python_version()}, {versions}.",
            "",
            "| | before | after |",
            "|---|---|---|",
            *rows,
            "",
            f"Jobs done: {jobs}.",
            "",
        ]
    )


def _shown(value):
    return f"{value / 2**20:.0f} MiB" if isinstance(value, int) and value > 2**20 else value


if __name__ == "__main__":
    main()
