"""Grading many submissions on a Dask cluster: the same work, on other machines.

    virtlab grade  ->  scheduler  ->  workers      each: `worker.work(setup, submission)`

The idea: what a local worker reads from its pipe, a worker of the cluster gets as the same two
texts: the course with its hidden checks, and one submission's cells. No path travels. Each worker
needs virtlab installed, and nothing else of the course.

The rule that keeps it the same: virtlab's files, Python's and NumPy's versions, and Dask's, must be
equal on both sides. What differs is refused by name, before anything is graded.

The rule that keeps it safe: whoever can look into the scheduler or a worker sees the hidden checks
and every notebook. So the cluster must be one that the instructor trusts. Each worker finds its own
sandbox; what one lacks stands in the results' `run`, and is said.

dask.distributed is an extra: it is imported here alone.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from virtlab.course.cli import CommandError
from virtlab.course.grading.course_files import library_digest
from virtlab.course.grading.pool import Failed, Outcome, outcome
from virtlab.course.grading.submissions import Submission
from virtlab.course.grading.worker import Setup, work

if TYPE_CHECKING:
    from distributed import Client

SECONDS = 30.0
"""How long the scheduler may take to answer, and its first worker to come."""


def versions() -> dict[str, str]:
    """What must be equal on both sides for the same results."""
    from importlib.metadata import version

    return {
        "virtlab": library_digest()[:12],
        "python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": version("numpy"),
        "distributed": version("distributed"),
    }


def grade_all(
    submissions: Sequence[Submission], setup: Setup, address: str, seconds: float = SECONDS
) -> Generator[Outcome, None, None]:
    """Grade all of them on the cluster at `address`; the outcomes come as they are done.

    Raises `CommandError` if the cluster cannot be reached, has no workers, or does not match.
    """
    with _connected(address, seconds) as client:
        from distributed import as_completed

        _compare(client)
        text = client.scatter(setup._replace(sandbox=None).as_text(), broadcast=True)
        futures = {
            client.submit(work, text, _text(each), pure=False, retries=0): each
            for each in submissions
        }
        try:
            for future in as_completed(futures, loop=client.loop):
                yield _outcome(future, futures[future])
                future.release()
        finally:
            client.cancel(list(futures))


def _text(submission: Submission) -> str:
    import json

    return json.dumps(submission.as_data())


def _outcome(future: Any, submission: Submission) -> Outcome:
    """What came of one submission; a lost worker or a failure there costs this one alone."""
    error = future.exception()
    if error is not None:
        return Failed(submission, f"the cluster lost it: {type(error).__name__}: {error}"[:400])
    return outcome(submission, future.result())


@contextlib.contextmanager
def _connected(address: str, seconds: float) -> Iterator[Client]:
    """A client of the scheduler that has at least one worker."""
    try:
        from distributed import Client
    except ImportError:
        raise CommandError(
            "--scheduler needs dask.distributed: pip install 'virtlab[cluster]'"
        ) from None
    if not urlsplit(address).hostname:
        raise CommandError(f"--scheduler {address}: an address is such as tcp://10.0.0.5:8786")
    try:
        client = Client(address, timeout=seconds, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CommandError(f"{address}: no scheduler answers ({error})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=seconds)
        except TimeoutError:
            raise CommandError(
                f"{address}: the scheduler has no workers: start `dask worker`"
            ) from None
        yield client


def _compare(client: Client) -> None:
    """Refuse workers that would judge otherwise."""
    ours = versions()
    try:
        theirs: dict[str, dict[str, str]] = client.run(versions)
    except Exception as error:
        raise CommandError(f"a worker cannot grade: {type(error).__name__}: {error}") from None
    for worker, found in sorted(theirs.items()):
        for name, version in ours.items():
            if found.get(name) != version:
                raise CommandError(
                    f"worker {worker} has {name} {found.get(name)}, here it is {version}: "
                    "install the same version on both sides"
                )
