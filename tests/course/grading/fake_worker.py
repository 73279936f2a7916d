"""A worker for tests of the pool: it grades nothing, and does what the student's name says.

It is a program of its own: `python fake_worker.py LOG`. Each submission is a line in the log.
"""

import json
import os
import signal
import sys
import time

DONE = {"assignment": "ps01", "file": "", "digest": "", "tasks": [], "flaws": [], "errors": []}


def nap():
    """A minute, or until who started it has ended, as the real one does."""
    parent = os.getppid()
    for _ in range(600):
        if os.getppid() != parent:
            os._exit(1)
        time.sleep(0.1)


def answer(data):
    """What the worker says of a submission, if it says something."""
    student = data["student"]
    if student.startswith("dies"):
        os.kill(os.getpid(), signal.SIGKILL)
    if student.startswith("exits"):
        os._exit(3)
    if student.startswith("sleeps"):
        nap()
    if student.startswith("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        nap()
    if student.startswith("babbles"):
        return "nonsense"
    if student.startswith("fails"):
        return json.dumps({"failed": "KeyError: 7"})
    which = {name: data[name] for name in ("student", "file", "digest")}
    return json.dumps({"result": {**DONE, **which, "refused": ""}})


def main():
    with open(sys.argv[1], "a") as log:
        log.write(f"start {os.getpid()}\n")
    for line in sys.stdin:
        data = json.loads(line)
        if "setup" in data:
            continue
        with open(sys.argv[1], "a") as log:
            log.write(f"{data['student']}\n")
        print(answer(data), flush=True)


if __name__ == "__main__":
    main()
