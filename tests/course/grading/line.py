"""Both ends of a line in one process: a judge, and a child that is a thread."""

import contextlib
import os
import threading
import time

from virtlab.course.grading.child import Child
from virtlab.course.grading.judge import Judge
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.remote import RemoteAnswer


class End:
    """One end of a pipe: closed once, whoever does it."""

    def __init__(self, number):
        self.number = number
        self.lock = threading.Lock()

    def fileno(self):
        return self.number

    def close(self):
        with self.lock:
            if self.number >= 0:
                os.close(self.number)
            self.number = -1


class Paper:
    """What a judge knows of a process. To kill it is to hang up: the thread hears it, and ends."""

    def __init__(self):
        self.theirs_in, self.stdin = map(End, os.pipe())
        self.stdout, self.theirs_out = map(End, os.pipe())
        self.why = ""

    def cpu_seconds(self):
        return time.thread_time()

    def kill(self, why=""):
        self.why = self.why or why or "killed"
        self.stdin.close()

    def ended(self, patience=0.0):
        return self.why

    def close(self):
        self.kill()

    def over(self, thread):
        """Wait for the thread, then close what is left."""
        self.kill()
        thread.join(10)
        for end in (self.theirs_in, self.theirs_out, self.stdout):
            end.close()


class Left(BaseException):
    """A child that is a thread ends."""


class Thread(Child):
    """A child that does not end the process."""

    def leave(self):
        raise Left


@contextlib.contextmanager
def line(source="", quiet=5.0):
    """A judge and a child that has run `source`: the answer, and the child."""
    paper = Paper()
    child = Thread(paper.theirs_out.number, paper.theirs_in.number)
    exec(source, child.names)

    def serve():
        with contextlib.suppress(Left):
            child.serve()
        paper.theirs_out.close()

    with begun(paper, serve, quiet) as answer:
        yield answer, child


@contextlib.contextmanager
def liar(*frames, quiet=5.0):
    """A judge whose child says `frames`, whatever it is asked, and then hangs up."""
    paper = Paper()

    def lie():
        for frame in frames:
            os.write(paper.theirs_out.number, frame)
        paper.theirs_out.close()

    with begun(paper, lie, quiet) as answer:
        yield answer


@contextlib.contextmanager
def begun(paper, work, quiet):
    """An answer whose child is a thread that does `work`."""
    thread = threading.Thread(target=work, daemon=True)
    judge = Judge(paper, Limits(quiet=quiet))
    answer = RemoteAnswer(judge)
    answer.begin()
    thread.start()
    try:
        yield answer
    finally:
        judge.watch.over.set()
        paper.over(thread)
