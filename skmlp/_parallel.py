"""Threads over blocks of rows, while BLAS itself is held to one.

Small products lose more to the hand-over between BLAS's threads than they gain, so there
are as many threads over blocks of rows as BLAS was allowed to use. But the limit of most
BLAS libraries is the process's: who reads it meanwhile, in another thread or in a forked
child, and restores it later, must not take the one thread for the limit before.
"""

import ctypes
import os
import statistics
import sys
import threading
import time
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import repeat
from queue import SimpleQueue

import numpy as np
from threadpoolctl import ThreadpoolController

# Multiplications of a product up to which OpenBLAS uses one thread by itself
_TINY_PRODUCT = 9216
_QUIET = {"all": "ignore"}
# Steps in which a way is tried, and then those in which the fastest is taken
_TRIAL_STEPS, _SETTLED_STEPS = 3, 100


@lru_cache(maxsize=1)
def _libraries(n_modules):
    """The BLAS libraries of the process, found anew when another module was imported."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _blas(*, has_limit_of_each_thread):
    """Libraries whose limit is each thread's own, as OpenMP's, or the process's."""
    return [
        library
        for library in _libraries(len(sys.modules))
        if (getattr(library, "threading_layer", "") == "openmp") == has_limit_of_each_thread
    ]


@lru_cache
def _variable(path):
    """The limit of OpenBLAS as a variable; None for other libraries.

    OpenBLAS reads it at each product. In a child that was forked it must not be called to
    set it: another thread of the parent may have left a lock taken.
    """
    try:
        return ctypes.c_int.in_dll(ctypes.CDLL(path), "blas_cpu_number")
    except ValueError:
        return None


class _SingleThreadedBlas:
    """Hold BLAS to one thread while anyone is inside, and let nobody else see it.

    scikit-learn and others read and set the limit of BLAS by threadpoolctl. Meanwhile it
    reads the later limit, and sets the later limit: so nobody can take the limit of one
    thread for the earlier one and restore it, in whatever order threads come and go. To
    that end two functions of its controllers, through which all limits pass, are wrapped;
    they stay so, since a thread may be in the midst of one when another thread enters.
    """

    def __init__(self):
        self._lock = threading.RLock()
        self._users = set()
        self._libraries = []
        self._limits = {}  # later limits of the libraries that are held, by file
        self._functions = {}  # of each controller, the two that are wrapped
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=lambda: self._lock.acquire(),  # the present one, also in a child
                after_in_parent=lambda: self._lock.release(),
                after_in_child=self._leave_child,
            )

    @contextmanager
    def __call__(self):
        """Hold BLAS, and yield the limits, or 1 if others inside have got the threads."""
        user = object()
        try:  # from here on, since Ctrl-C may come at any point
            yield self._enter(user)
        finally:
            # and here: not by a function, at whose begin it may come, too
            interrupt = None
            while True:
                try:
                    with self._lock:
                        self._users.discard(user)
                        if not self._users:
                            self._release()
                    break
                except KeyboardInterrupt as error:
                    interrupt = error
            if interrupt is not None:
                raise interrupt

    def _enter(self, user):
        with self._lock:
            self._users.add(user)
            if len(self._users) > 1:
                return [1]
            self._libraries = _blas(has_limit_of_each_thread=False)
            for controller in {type(library) for library in self._libraries}:
                if controller not in self._functions:
                    self._functions[controller] = self._wrap(controller)
            limits = [library.num_threads for library in self._libraries]
            for library, limit in zip(self._libraries, limits, strict=True):
                _variable(library.filepath)
                self._limits[library.filepath] = limit
                self._set(library, 1)
            return limits

    def _release(self):
        for library in self._libraries:
            if library.filepath in self._limits:
                self._set(library, self._limits[library.filepath])
                del self._limits[library.filepath]

    def _leave_child(self):
        """Forget, in a forked process, the threads that were inside in its parent."""
        self._lock = threading.RLock()
        self._users.clear()
        limits, self._limits = self._limits, {}
        for library in self._libraries:
            if library.filepath in limits:
                limit, variable = limits[library.filepath], _variable(library.filepath)
                if variable is None:
                    self._set(library, limit)
                else:
                    variable.value = limit

    def _set(self, library, limit):
        get_limit, set_limit = self._functions[type(library)]
        if get_limit(library) != limit:
            set_limit(library, limit)

    def _wrap(self, controller):
        # Since version 3.8 of threadpoolctl, `set_num_threads` of OpenBLAS heeds one thread
        # only, the first to have called, and calls the other one
        names = ("_real_set_num_threads", "set_num_threads")
        name = next(name for name in names if hasattr(controller, name))
        get_limit, set_limit = controller.get_num_threads, getattr(controller, name)

        def get_num_threads(library):
            with self._lock:
                return self._limits.get(library.filepath) or get_limit(library)

        def set_num_threads(library, num_threads):
            with self._lock:
                if library.filepath in self._limits:
                    self._limits[library.filepath] = num_threads
                else:
                    set_limit(library, num_threads)

        controller.get_num_threads = get_num_threads
        setattr(controller, name, set_num_threads)
        return get_limit, set_limit


@contextmanager
def _one_thread_here():
    """Hold the libraries whose limit is each thread's own, and yield the limits."""
    libraries = _blas(has_limit_of_each_thread=True)
    limits = [library.num_threads for library in libraries]
    _set_one_here()
    try:
        yield limits
    finally:
        for library, limit in zip(libraries, limits, strict=True):
            library.set_num_threads(limit)


def _set_one_here():
    for library in _blas(has_limit_of_each_thread=True):
        library.set_num_threads(1)


_hold_blas = _SingleThreadedBlas()


def serial(function, *iterables):
    """A ``map`` on this thread, which is done when it returns."""
    return list(map(function, *iterables))


@contextmanager
def row_threads(n_tasks, largest_product=np.inf):
    """Yield a ``map`` that runs on the threads BLAS was allowed to use, and then returns.

    So OPENBLAS_NUM_THREADS, OMP_NUM_THREADS, ``threadpool_limits`` and joblib's workers
    set the number of threads. Inside, floating-point errors are quiet, whatever the caller
    has set by `numpy.seterr`: solvers look at the values instead.

    Parameters
    ----------
    n_tasks : int
        The most calls one ``map`` will make; no more threads than that are started.
    largest_product : int, optional
        Multiplications in the largest product of matrices. If they are few, as for the
        prediction of one row, BLAS is not held, which would take longer than they do.
    """
    if largest_product <= _TINY_PRODUCT:
        with np.errstate(**_QUIET):
            yield serial
        return
    with (
        _hold_blas() as limits,
        _one_thread_here() as own_limits,
        np.errstate(**_QUIET),
    ):
        n_helpers = min([*limits, *own_limits, n_tasks]) - 1
        if n_helpers == 0 or not (limits or own_limits):
            yield serial
            return
        with _helpers(n_helpers) as works:
            yield partial(_shared_map, works, n_helpers)


@contextmanager
def _helpers(n_helpers):
    """Threads that do what is put into a queue: yield it.

    A step of a mini-batch takes some 100 us: a future, as an executor has, takes 20 of
    them more than a queue.
    """
    works = SimpleQueue()
    threads = [
        threading.Thread(target=_serve, args=(works,), daemon=True)
        for _ in range(n_helpers)
    ]
    try:
        for thread in threads:
            thread.start()
        yield works
    finally:
        for _ in threads:
            works.put(None)
        for thread in threads:
            if thread.ident is not None:  # else it could not be started
                thread.join()


def _serve(works):
    np.seterr(**_QUIET)
    _set_one_here()
    for work in iter(works.get, None):
        work()


def _shared_map(works, n_helpers, function, *iterables):
    """A ``map`` whose calls are shared by this thread and the helpers.

    Each takes the next call when it is done with its last, so that a thread which the
    machine keeps waiting holds up one call at most, and none if it has not begun. To take
    from the end of a list is one step that no other thread comes between, with or without
    Python's global lock.
    """
    calls = list(zip(*iterables, strict=True))
    results = [None] * len(calls)
    remaining, done = list(range(len(calls)))[::-1], SimpleQueue()

    def take():
        """Make the next call, if there is one."""
        try:
            i = remaining.pop()
        except IndexError:
            return False
        results[i] = function(*calls[i])
        return True

    def assist():
        try:
            while take():
                done.put(None)
        except BaseException as error:  # which the caller raises
            done.put(error)

    for _ in range(min(n_helpers, len(calls) - 1)):
        works.put(assist)
    n_own = 0
    try:
        while take():
            n_own += 1
    finally:
        remaining.clear()  # after an error or Ctrl-C, no thread takes another call
    for _ in range(len(calls) - n_own):
        error = done.get()
        if error is not None:
            raise error
    return results


def faster(*ways):
    """Yield one of several ways for each step: the one that has taken the least time.

    Each is tried from time to time. They must not differ in their results: whether two
    threads are faster depends on how far a machine's cores are apart, and on what else it
    does.
    """
    while True:
        medians = []
        for way in ways:
            seconds = []
            for _ in range(_TRIAL_STEPS):
                start = time.perf_counter()
                yield way
                seconds.append(time.perf_counter() - start)
            medians.append(statistics.median(seconds))
        yield from repeat(ways[medians.index(min(medians))], _SETTLED_STEPS)
