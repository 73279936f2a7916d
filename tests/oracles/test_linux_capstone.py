"""The solution of problem set 7 serves an unmodified Linux, and the host's `e2fsck` finds it clean.

Everything between two system calls is the solution's: messages, memory table, ring, requests. Pop,
push and the block back-end are those of problem sets 4 and 5, not the library's.
"""

from __future__ import annotations

import pytest

from tests.course.answers import notebook, right, sources
from tests.needs import needs_linux
from tests.oracles.linux_guest import clean, linux
from virtlab.course.ps7.real import serve_linux
from virtlab.hosts.live_works import WORKS, content


def own():
    """What the solutions of all sets define; that of ps7 uses those of ps4 and ps5."""
    names = right()
    exec(
        "class parts:\n"
        "    pop, push, should_interrupt, answer = pop, push, should_interrupt, answer\n",
        names,
    )
    for source in sources(notebook("solutions", "ps07")).values():
        exec(source.replace("from virtlab.course.given import parts\n", ""), names)
    return names


@needs_linux
@pytest.mark.timeout(300)
def test_linux_lives_on_the_solution(tmp_path):
    names, said = own(), []
    done = serve_linux(
        names["BackEnd"], names["split_stream"], names["reply"], said.append, linux()
    )
    assert done.ok, said
    assert list(done.status) == list(WORKS)
    assert done.kicks > 0
    assert done.calls > 0
    image = tmp_path / "disk.img"
    image.write_bytes(done.disk.array())
    fine, words = clean(image)
    assert fine, words
    assert content(3) in image.read_bytes()
