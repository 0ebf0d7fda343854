"""Threads over blocks of rows: BLAS held to one thread, and no trace of it."""

import os
import subprocess
import sys
import threading

import pytest
from common import set_threads
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from skmlp import _parallel
from skmlp._parallel import _hold_blas, faster, row_threads, serial

if not any(each["user_api"] == "blas" for each in threadpool_info()):
    pytest.skip("threadpoolctl knows no BLAS here", allow_module_level=True)


@pytest.fixture(autouse=True)
def two_threads():
    before = set_threads(2)
    yield
    set_threads(before)


def limits():
    """What everybody sees."""
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def real_limits():
    """What BLAS itself says."""
    return [
        _hold_blas._functions[type(library)][0](library)
        for library in ThreadpoolController().select(user_api="blas").lib_controllers
    ]


class Elsewhere:
    """Another Python thread, whose context is entered and left when told."""

    def __init__(self, make_context):
        self.entered, self.may_leave = threading.Event(), threading.Event()
        self._make_context = make_context
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self.entered.wait(10)

    def _run(self):
        with self._make_context():
            self.entered.set()
            self.may_leave.wait(10)

    def leave(self):
        self.may_leave.set()
        self._thread.join()


def limit_of_one():
    return threadpool_limits(1, user_api="blas")


def test_all_threads_take_part():
    """Calls that wait for each other end only if they run at the same time."""
    barrier = threading.Barrier(3, timeout=10)
    with threadpool_limits(3, user_api="blas"), row_threads(3) as map_rows:
        assert len(list(map_rows(lambda _: barrier.wait(), range(3)))) == 3


def test_nobody_waits_for_a_thread_that_has_not_begun():
    """A map within a map: the only other thread is busy with the outer one."""
    begun, over = threading.Event(), threading.Event()

    def call(i):
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            return over.wait(10)
        assert begun.wait(10)
        found = map_rows(abs, [-1, -2, -3])
        over.set()
        return found

    with threadpool_limits(2, user_api="blas"), row_threads(2) as map_rows:
        assert sorted(map_rows(call, range(2)), key=str) == [True, [1, 2, 3]]


@pytest.mark.parametrize("fast", ["one", "two"])
def test_the_faster_way_is_taken_and_the_other_one_tried_again(monkeypatch, fast):
    now = 0.0
    monkeypatch.setattr(_parallel.time, "perf_counter", lambda: now)
    seconds = {"one": 2.0, "two": 2.0, fast: 1.0}
    n_steps = 2 * _parallel._TRIAL_STEPS + _parallel._SETTLED_STEPS
    taken = []
    for way in faster("one", "two"):
        # one step is interrupted, whichever way it takes
        now += 50.0 if len(taken) % _parallel._TRIAL_STEPS == 1 else seconds[way]
        taken.append(way)
        if len(taken) == n_steps:
            seconds = {"one": 1.0, "two": 1.0, fast: 2.0}
        if len(taken) == 2 * n_steps:
            break
    (slow,) = {"one", "two"} - {fast}
    trial = ["one"] * _parallel._TRIAL_STEPS + ["two"] * _parallel._TRIAL_STEPS
    settled = [[way] * _parallel._SETTLED_STEPS for way in (fast, slow)]
    assert taken == trial + settled[0] + trial + settled[1]


def test_blas_is_held_to_one_thread_and_released():
    with threadpool_limits(2, user_api="blas"):
        before = limits()
        with row_threads(8) as map_outer:
            assert set(real_limits()) == {1}
            assert limits() == before
            with row_threads(8) as map_inner:
                assert map_inner is serial  # the threads are taken
            assert set(real_limits()) == {1}
            assert list(map_outer(abs, [-1, 2])) == [1, 2]
        assert real_limits() == limits() == before
    with threadpool_limits(1, user_api="blas"), row_threads(8) as map_rows:
        assert map_rows is serial
    with row_threads(1) as map_rows:
        assert map_rows is serial


def test_fits_that_overlap_leave_the_limit_in_any_order():
    with threadpool_limits(2, user_api="blas"):
        before = limits()
        with row_threads(2):
            other = Elsewhere(lambda: row_threads(2))
        assert set(real_limits()) == {1}
        other.leave()
        assert real_limits() == before


def test_a_limit_that_begins_inside_and_outlives_it_leaves_no_trace():
    before = limits()
    with row_threads(2):
        other = Elsewhere(limit_of_one)
        assert set(limits()) == {1}
    assert set(real_limits()) == {1}  # the other one's, by now
    other.leave()
    assert real_limits() == limits() == before


def test_a_limit_that_ends_inside_is_not_set_again():
    before = limits()
    other = Elsewhere(limit_of_one)
    with row_threads(2) as map_rows:
        assert map_rows is serial
        other.leave()
        assert set(real_limits()) == {1}
        assert limits() == before
    assert real_limits() == limits() == before


def test_a_limit_inside_ends_as_it_began():
    before = limits()
    with row_threads(2):
        with threadpool_limits(3, user_api="blas"):
            assert set(limits()) == {3}
            assert set(real_limits()) == {1}
        assert limits() == before
    assert real_limits() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_that_is_forked_inside_is_not_held():
    program = """
import os
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits
from skmlp._parallel import row_threads

def limits():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

threadpool_limits(2, user_api="blas")
before = limits()
X = np.ones((600, 600))
with row_threads(1):
    child = os.fork()
    if child == 0:
        from skmlp._parallel import _hold_blas
        assert limits() == before and not _hold_blas._limits
        assert (X @ X).shape == (600, 600)
        with row_threads(2) as map_rows:
            assert map_rows(abs, [-1, 2]) == [1, 2]
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
assert limits() == before
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_ctrl_c_on_the_way_in_or_out_holds_nothing(monkeypatch):
    before = limits()

    def interrupted(*args):
        monkeypatch.undo()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_hold_blas, "_wrap", interrupted)
        patched.setattr(_hold_blas, "_functions", {})
        with pytest.raises(KeyboardInterrupt), row_threads(2):
            pass
    assert real_limits() == before
    with pytest.raises(KeyboardInterrupt), row_threads(2):
        monkeypatch.setattr(_hold_blas, "_set", interrupted)
    with row_threads(2):
        assert set(real_limits()) == {1}
    assert real_limits() == limits() == before


def test_a_block_that_fails_raises_its_own_error_and_releases_blas():
    before = limits()

    def fail(value):
        raise RuntimeError(f"block {value}")

    with (
        threadpool_limits(2, user_api="blas"),
        pytest.raises(RuntimeError, match=r"block [34]"),
        row_threads(4) as map_rows,
    ):
        list(map_rows(fail, [3, 4]))
    assert real_limits() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forks_beside_a_fit_change_no_bit():
    program = """
import os, signal, threading
import numpy as np
from sklearn.datasets import load_digits
from skmlp import MLPClassifierManual

X, y = load_digits(return_X_y=True)

def fit():
    return MLPClassifierManual(20, alpha=1.0, tol=0.05, random_state=0).fit(X, y).coefs_[0]

expected, found = fit(), []
thread = threading.Thread(target=lambda: found.extend(fit() for _ in range(10)))
thread.start()
while thread.is_alive():
    child = os.fork()
    if child == 0:
        os._exit(0)
    thread.join(0.03)
    # Python may hang in a child of its own accord, if threads come and go meanwhile
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
assert len(found) == 10
assert all(np.array_equal(coefs, expected) for coefs in found)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_ctrl_c_while_the_way_out_waits_for_another_thread_holds_nothing(monkeypatch):
    lock, before = _hold_blas._lock, limits()

    class Contended:
        def __enter__(self):
            monkeypatch.setattr(_hold_blas, "_lock", lock)
            raise KeyboardInterrupt

        def __exit__(self, *args):
            raise AssertionError("it was never entered")

    with pytest.raises(KeyboardInterrupt), row_threads(2):
        monkeypatch.setattr(_hold_blas, "_lock", Contended())
    assert not _hold_blas._users
    assert real_limits() == limits() == before
