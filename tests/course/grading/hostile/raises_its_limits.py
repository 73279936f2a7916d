# ruff: noqa
"""Takes back what was taken from it: limits, priorities, rights."""

# %% ps1-q1-answer
import os
import resource


def who_answers(mappings, address, size):
    for attempt in (
        lambda: resource.setrlimit(resource.RLIMIT_CPU, (10_000, 10_000)),
        lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 60, 1 << 60)),
        lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1)),
        lambda: os.setuid(0),
        lambda: os.nice(-10),
        lambda: os.sched_setaffinity(os.getppid(), {0}),
        lambda: os.setsid(),
    ):
        try:
            attempt()
            print("LEAKED: a limit")
        except (OSError, ValueError):
            pass
