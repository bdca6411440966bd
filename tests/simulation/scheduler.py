"""Runs many workers of blocking code in one process, one at a time, in virtual time.

Each task has a thread, but only one thread runs at a time: a task that pauses starts the task whose time is next. So
runs with the same delays are identical, and no thread sleeps in real time.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from typing import Any

FOREVER = float("inf")


class Killed(BaseException):
    """Raised where the task's process is killed. The code under test must not catch it; the simulation may."""


class Abandoned(BaseException):
    """Raised in every paused task after another task failed, to end the run."""


class Task:
    """A piece of work. `kill_at`: the virtual time at which Lambda kills its process, if it still runs."""

    __slots__ = ("calls", "dialect", "fault_factor", "faults", "kill_at", "name", "random", "stuck", "thread", "work")

    def __init__(self, name: str, work: Callable[[], None], random: Any = None) -> None:
        self.name, self.work, self.random = name, work, random
        self.calls = self.faults = 0  # the number of its calls, and of the faults that they met
        self.stuck = 0  # the number of its next batch calls that take no effect
        self.kill_at = FOREVER
        self.dialect: Any = None  # changes its calls to those of another version of the code; None: the current version
        self.fault_factor = 1.0  # multiplies the probability of a fault
        self.thread: _Thread | None = None


class _Thread:
    """A thread that is reused for later tasks. Releasing `lock` lets it continue."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()
        self.job: tuple[Scheduler, Task] | None = None
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self) -> None:
        while True:
            self.lock.acquire()
            job, self.job = self.job, None
            assert job is not None
            scheduler, task = job
            scheduler._drive(self, task)
            del job, scheduler, task  # an idle thread must not keep a scheduler in memory


_idle: list[_Thread] = []


class Scheduler:
    def __init__(self) -> None:
        self.now = 0.0
        self.current: Task | None = None
        self._heap: list[tuple[float, int, Task | Callable[[], None]]] = []
        self._count = 0
        self._main = threading.Lock()  # held until no task is left, or one failed: `run` waits for it
        self._main.acquire()
        self._begun: set[Task] = set()  # tasks that began, and have not ended
        self._error: BaseException | None = None
        self._abandoned = False

    def at(self, when: float, what: Task | Callable[[], None]) -> None:
        """Schedules `what` for `when`: a task to begin, or a function that takes no virtual time."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, what))

    def pause(self, seconds: float) -> None:
        """Pauses the current task for `seconds`. Raises Killed if its process is killed before that."""
        task = self.current
        assert task is not None
        if self._abandoned:
            raise Abandoned
        when = self.now + seconds
        if when >= task.kill_at:
            when = max(self.now, task.kill_at)
        heap = self._heap
        if heap and heap[0][0] <= when:
            self._count += 1
            heapq.heappush(heap, (when, self._count, task))
            next_task = self._next()
            if next_task is not task and next_task is not None:
                thread = task.thread
                self._hand_to(next_task)
                assert thread is not None
                thread.lock.acquire()
            if self._abandoned:
                raise Abandoned
            self.current = task
        else:
            self.now = when
        if self.now >= task.kill_at:
            raise Killed

    def run(self) -> None:
        """Runs until nothing is left to do. Raises the first exception of a task or function, other than Killed."""
        next_task = self._next()
        if next_task is not None:
            self._hand_to(next_task)
            self._main.acquire()
        if self._error is not None:
            for task in list(self._begun):
                assert task.thread is not None
                task.thread.lock.release()
                self._main.acquire()
            error, self._error = self._error, None
            raise error

    # ------------------------------------------------------------------------

    def _next(self) -> Task | None:
        """Returns the task whose time is next, and calls the scheduled functions whose time is before that."""
        heap = self._heap
        while heap and not self._abandoned:
            when, _, what = heapq.heappop(heap)
            if when > self.now:
                self.now = when
            if isinstance(what, Task):
                return what
            self.current = None
            try:
                what()
            except BaseException as error:
                self._abandon(error)
        return None

    def _hand_to(self, task: Task) -> None:
        """Continues a task in its thread, or begins it in an idle or new one."""
        self.current = task
        if task.thread is None:
            task.thread = _idle.pop() if _idle else _Thread()
            task.thread.job = (self, task)
        task.thread.lock.release()

    def _drive(self, thread: _Thread, task: Task) -> None:
        """Runs a task to its end, then the next tasks in the same thread, until the next task has its own thread."""
        next_task: Task | None = task
        while next_task is not None:
            task = next_task
            task.thread, self.current = thread, task
            self._begun.add(task)
            try:
                task.work()
            except (Killed, Abandoned):
                pass
            except BaseException as error:
                self._abandon(error)
            self._begun.discard(task)
            next_task = None if self._abandoned else self._next()
            if next_task is not None and next_task.thread is not None:
                _idle.append(thread)
                self._hand_to(next_task)
                return
        _idle.append(thread)
        self._main.release()

    def _abandon(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self._abandoned = True
