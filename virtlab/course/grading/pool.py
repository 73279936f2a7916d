"""Grading many submissions at once, in processes of this machine.

    submissions  ->  queue  ->  a thread a worker  ->  its process  ->  queue  ->  results

The idea: each worker is a process that imports the judges once and then grades line by line. A
thread holds its two pipes: it hands over one submission, waits for the answer, and begins again.

The rule that keeps it honest: whatever happens to a worker costs the one submission in its hands.
It is then `Failed` with a word why, another process takes its place, and the run goes on.

Results come as they are done, so whoever wants an order sorts them. `close` ends it at once.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from typing import NamedTuple

from virtlab.course.grading.result import Result
from virtlab.course.grading.submissions import Submission
from virtlab.course.grading.worker import Setup

GRACE = 5.0
"""Seconds that a worker gets to end its child when it is told to stop."""
MARGIN = 60.0
"""Seconds that a submission may take beyond what its limits allow: then the worker is stuck."""


COMMAND = (sys.executable, "-P", "-m", "virtlab.course.grading.worker")
"""A worker. -P: a file json.py in the current folder is no module of ours."""


class Failed(NamedTuple):
    """A submission that the grader itself could not grade, and why: to be graded again."""

    submission: Submission
    why: str


Outcome = Result | Failed


def outcome(submission: Submission, line: str | bytes) -> Outcome:
    """A worker's answer: a result, or why there is none."""
    try:
        data = json.loads(line)
        if "result" in data:
            return Result.from_data(data["result"])
        return Failed(submission, f"the grader failed: {data['failed']}")
    except (ValueError, KeyError, TypeError):
        return Failed(submission, "what the grader's process said is no result")


class Worker:
    """One process that grades, and what is needed to talk to it. `core`: where it is to stay."""

    def __init__(self, setup: str, core: int | None = None) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *([str(core)] if core is not None else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0 if os.name == "posix" else None,  # Ctrl-C is for us: we tell it
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        with contextlib.suppress(OSError):  # it ended at once: the first submission will tell
            self._send('{"setup": ' + json.dumps(setup) + "}")

    def grade(self, submission: Submission, seconds: float) -> Outcome:
        """Hand over one submission and wait for the answer, at most so long."""
        timer = threading.Timer(seconds, self.process.kill)
        timer.daemon = True
        timer.start()
        try:
            self._send(json.dumps(submission.as_data()))
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
        except OSError:
            line = b""
        finally:
            timer.cancel()
        if line.endswith(b"\n"):
            return outcome(submission, line)
        status = self.close()
        return Failed(submission, f"the process that graded it ended (status {status})")

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def end(self, seconds: float) -> int:
        """Tell the process to end, wait so long, and then make it; its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def close(self) -> int:
        """End the process and close its pipes; its exit status."""
        status = self.end(GRACE)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()
        return status


class Pool:
    """So many workers, each with a thread that feeds it. `outcomes` may be asked once."""

    def __init__(self, setup: Setup, workers: int) -> None:
        self.setup, self.text = setup, setup.as_text()
        self.workers = workers
        self.todo: queue.SimpleQueue[Submission] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.closed = False
        self.busy: set[Worker] = set()
        self.lock = threading.Lock()

    def outcomes(self, submissions: Sequence[Submission]) -> Generator[Outcome, None, None]:
        """What becomes of each submission, as they are done. Closing the iterator ends the work."""
        for submission in submissions:
            self.todo.put(submission)
        threads = [
            threading.Thread(target=self._feed, args=[core], daemon=True)
            for core in places(min(self.workers, len(submissions)))
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in submissions:
                yield self._next()
        finally:
            self._close()
            for thread in threads:
                thread.join(2 * GRACE)

    def _next(self) -> Outcome:
        while True:
            with contextlib.suppress(queue.Empty):
                # On Windows a wait without an end hears no Ctrl-C.
                return self.done.get(timeout=1.0)

    def _feed(self, core: int | None) -> None:
        """A thread: hand out submissions until there are none; a lost worker is replaced."""
        worker: Worker | None = None
        while not self.closed:
            try:
                submission = self.todo.get_nowait()
            except queue.Empty:
                break
            found: Outcome
            try:
                worker = worker or self._start(core)
                found = worker.grade(submission, self._seconds(submission))
            except OSError as error:
                found = Failed(submission, f"no process to grade it: {error.strerror}")
            if worker and worker.process.returncode is not None:
                self.busy.discard(worker)
                worker = None
            if not self.closed:
                self.done.put(found)
        if worker:
            worker.close()

    def _start(self, core: int | None = None) -> Worker:
        """Another worker, unless the pool has been closed meanwhile."""
        with self.lock:
            if self.closed:
                raise OSError(errno.ESHUTDOWN, "the run has ended")
            worker = Worker(self.text, core)
            self.busy.add(worker)
            return worker

    def _seconds(self, submission: Submission) -> float:
        """How long one submission may take at most: a child for the cells and one for each task."""
        children = 1 + len(self.setup.course.sets[submission.assignment].tasks)
        return self.setup.limits.wall * children + MARGIN

    def _close(self) -> None:
        with self.lock:
            self.closed = True
            busy = list(self.busy)
        for worker in busy:
            worker.process.terminate()
        until = time.monotonic() + GRACE
        for worker in busy:
            worker.end(max(0.0, until - time.monotonic()))


def grade_all(
    submissions: Sequence[Submission], setup: Setup, workers: int
) -> Generator[Outcome, None, None]:
    """Grade all of them in `workers` processes; the outcomes come as they are done."""
    yield from Pool(setup, workers).outcomes(submissions)


def cores() -> int:
    """How many processors this process may use."""
    return len(_numbers()) or os.cpu_count() or 1


def _numbers() -> list[int]:
    """Their numbers, where the system tells."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def places(workers: int) -> list[int | None]:
    """The processor for each worker to stay on; None where it may run on any.

    A judge and its child take turns, so one processor is enough for both. To change over on it
    costs less than to wake another one. With more workers than processors the kernel decides.
    """
    numbers = _numbers()
    return [*numbers[:workers]] if workers <= len(numbers) else [None] * workers
