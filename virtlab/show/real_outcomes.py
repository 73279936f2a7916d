"""What a back-end of ours once said and did, for machines that cannot run one.

    Linux                      replay(session) -> a back-end, now
    Windows, macOS             replay(session) -> what it said then, `recorded`

The idea: a back-end shares memory by a memfd and rings by eventfds, and only Linux has both. The
lesson's sessions are always the same. So what became of each of them is kept, and found again by
what was said in it.

The rule that keeps it simple: a kept outcome says that it is one. Of a session that was never
recorded there is none, and nothing is made up.

`python -m virtlab.show.real_outcomes FILE` makes the file anew, on a Linux.

Source: memfd_create(2), eventfd(2). Left out: the pipes that QEMU takes where it has no eventfd.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

from virtlab.show.real_messages import Sent

FILE = ("data", "linux", "outcomes.jsonl")
"""Where in the package the outcomes are."""

NEEDS = ("memfd_create", "eventfd")
"""What of `os` a back-end needs."""

RECORDED = "Recorded: this system has no memfd or no eventfd, so no back-end of ours runs here"
"""What is said beside an outcome that is not of now."""

CRASHES = ((8, 3),)
"""Requests and answers of the crashes that are kept."""


def able() -> bool:
    """Whether a back-end can run on this machine."""
    return all(hasattr(os, name) for name in NEEDS)


def session_key(session: Iterable[Sent]) -> str:
    """A session by what was said in it, whenever that was."""
    said = [(one.asks, one.request, one.flags, one.payload.hex(), one.fds) for one in session]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def crash_key(requests: int, answers: int) -> str:
    """A crash by its numbers."""
    return f"{requests} requests, {answers} answers"


def outcome(key: str) -> dict[str, Any]:
    """The fields that were kept under `key`. `OSError` if there are none."""
    text = resources.files("virtlab").joinpath(*FILE).read_text("utf-8")
    for line in text.splitlines():
        kept: dict[str, Any] = json.loads(line)
        if kept.pop("key") == key:
            return kept
    raise OSError(f"{RECORDED}, and of this one nothing was recorded")


# -- what stands in the file


def counted(items: Sequence[Any]) -> list[list[Any]]:
    """Equal neighbours as one, with how many there are.

    >>> counted(["a", "a", "b"])
    [[2, 'a'], [1, 'b']]
    """
    return [[len(list(same)), item] for item, same in groupby(items)]


def spread(pairs: Iterable[Sequence[Any]]) -> list[Any]:
    """The items of `counted` again.

    >>> spread([[2, "a"], [1, "b"]])
    ['a', 'a', 'b']
    """
    return [item for many, item in pairs for _ in range(many)]


def _outcomes() -> Iterator[dict[str, Any]]:
    """Each session and each crash of the lesson, as it goes today."""
    from virtlab.show.real_crash import crash
    from virtlab.show.real_heard import handshake
    from virtlab.show.real_replay import MISTAKES, replay, spoilt

    heard = handshake()
    for session in (heard, *(spoilt(heard, name) for name in MISTAKES)):
        done = replay(session)
        yield {"key": session_key(session), **done._asdict(), "places": counted(done.places)}
    for numbers in CRASHES:
        yield {"key": crash_key(*numbers), **crash(*numbers)._asdict()}


def record(path: str) -> int:
    """Write the outcomes to `path`, and give how many they are."""
    lines = [json.dumps(each | {"recorded": True}) for each in _outcomes()]
    Path(path).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return len(lines)


if __name__ == "__main__":
    print(record(sys.argv[1]), "outcomes")
