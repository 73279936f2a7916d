"""Grading on a Dask cluster: the same bytes as here; what does not match is refused by name."""

import json
import sys

import pytest

from tests.course.answers import ROOT
from tests.course.grading import classroom
from tests.course.grading.made import made
from virtlab.course import cli
from virtlab.course.checks import TASKS
from virtlab.course.cli import CommandError
from virtlab.course.grading import cluster, course_files, submissions
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.pool import Failed
from virtlab.course.grading.sandbox import Sandbox
from virtlab.course.grading.submissions import Submission
from virtlab.course.grading.worker import Setup

distributed = pytest.importorskip("distributed", reason="pip install 'virtlab[cluster]'")

SIZES = [
    pytest.param(3, ["hostile", "wrong", "right"], ["ps1.q6", "ps2.q1", "ps3.q1"], id="3"),
    pytest.param(200, classroom.KINDS, [], id="200", marks=classroom.LONG),
]
QUIET = {"silence_logs": 50, "dashboard_address": ":0", "scheduler_kwargs": {"dashboard": False}}
LIMITS = ("--seconds", "4", "--memory", "512")


@pytest.fixture(scope="module")
def scheduler():
    """A cluster of two worker processes on this machine; its address."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, timeout="60s", **QUIET
    ) as local:
        yield local.scheduler_address


@pytest.mark.skipif(sys.platform != "linux", reason="the hostile ones are Linux's")
@pytest.mark.parametrize(("count", "kinds", "tasks"), SIZES)
def test_two_workers_of_a_cluster_give_the_same_bytes(tmp_path, scheduler, count, kinds, tasks):
    classroom.write(classroom.classroom(count, kinds, tasks or list(TASKS)), tmp_path)
    there, here = (
        grade(tmp_path, name, tasks, *words)
        for name, words in {"there": ("--scheduler", scheduler), "here": ()}.items()
    )
    assert there == here
    assert len(json.loads(there[1])["results"]) == count


def grade(folder, name, tasks, *words):
    """Run the command; the bytes of its CSV and its JSON."""
    paths = [folder / f"{name}.csv", folder / f"{name}.json"]
    outputs = ("--out", paths[0], "--json", paths[1])
    chosen = [word for task in tasks for word in ("--task", task)]
    words = ("--seed", 9, "--quiet", *LIMITS, *outputs, *chosen, *words)
    assert cli.main(["grade", str(folder), *map(str, words)]) in (0, 1)
    return [path.read_bytes() for path in paths]


def test_versions_are_those_that_decide(scheduler):
    ours = cluster.versions()
    assert set(ours) == {"virtlab", "python", "numpy", "distributed"}
    with distributed.Client(scheduler, set_as_default=False) as client:
        assert set(map(str, client.run(cluster.versions).values())) == {str(ours)}


def test_a_scheduler_that_does_not_answer_is_one_line(setup):
    with pytest.raises(CommandError, match=r"tcp://127.0.0.1:9: no scheduler answers"):
        list(cluster.grade_all([], setup, "tcp://127.0.0.1:9", seconds=1))


def test_a_scheduler_without_workers_is_one_line(setup):
    with (
        distributed.LocalCluster(n_workers=0, **QUIET) as empty,
        pytest.raises(CommandError, match="the scheduler has no workers: start `dask worker`"),
    ):
        list(cluster.grade_all([], setup, empty.scheduler_address, seconds=0.2))


@pytest.mark.parametrize("address", ["x", "tcp://", "10.0.0.5"])
def test_an_address_that_is_none_is_one_line(setup, address):
    with pytest.raises(CommandError, match=r"an address is such as tcp://10.0.0.5:8786"):
        list(cluster.grade_all([], setup, address))


def test_without_dask_it_says_how_to_get_it(setup, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CommandError, match=r"pip install 'virtlab\[cluster\]'"):
        list(cluster.grade_all([], setup, "tcp://127.0.0.1:9"))


# -- with a client that stands for a cluster


@pytest.fixture(scope="module")
def setup():
    return Setup(course_files.load(ROOT / "exercises"), 7, Limits(), Sandbox("mine", ()))


class Future:
    def __init__(self, value):
        self.value = value

    def exception(self):
        return self.value if isinstance(self.value, Exception) else None

    def result(self):
        return self.value

    def release(self):
        self.value = None


class Client:
    """Gives what it is told to, and notes what it is asked."""

    def __init__(self, values=(), theirs=None):
        self.values, self.theirs = list(values), theirs or {"tcp://w1": cluster.versions()}
        self.texts, self.cancelled, self.loop = [], [], None

    def __enter__(self):
        return self

    def __exit__(self, *why):
        pass

    def wait_for_workers(self, count, timeout):
        pass

    def run(self, function):
        if isinstance(self.theirs, Exception):
            raise self.theirs
        return self.theirs

    def scatter(self, text, broadcast):
        self.texts.append(text)
        return text

    def submit(self, function, setup, submission, **how):
        self.texts.append(submission)
        return Future(self.values.pop(0))

    def cancel(self, futures):
        self.cancelled = futures


@pytest.fixture
def spread(setup, monkeypatch):
    """Grade submissions of these students with that client."""

    def run(client, *students):
        monkeypatch.setattr(distributed, "Client", lambda *address, **how: client)
        monkeypatch.setattr(distributed, "as_completed", lambda futures, loop: list(futures))
        given = [Submission(student, "ps01", "", "") for student in students]
        return list(cluster.grade_all(given, setup, "tcp://10.0.0.5:8786"))

    return run


def result(student):
    return json.dumps({"result": made(student).as_data(run=True)})


def test_texts_travel_and_no_paths(spread):
    client = Client([result("ada"), result("ben")])
    assert spread(client, "ada", "ben") == [made("ada"), made("ben")]
    setup, first, _ = map(json.loads, client.texts)
    assert submissions.Submission.from_data(first).student == "ada"
    assert setup["sandbox"] is None
    assert str(ROOT) not in "".join(client.texts)
    assert len(client.cancelled) == 2


def test_a_lost_worker_costs_one_submission(spread):
    found = spread(Client([result("ada"), RuntimeError("killed"), result("eve")]), *"abc")
    assert found[1] == Failed(found[1].submission, "the cluster lost it: RuntimeError: killed")
    assert [type(each).__name__ for each in found] == ["Result", "Failed", "Result"]


def test_a_worker_of_another_version_is_refused_by_name(spread):
    theirs = {"tcp://w1": cluster.versions(), "tcp://w2": {**cluster.versions(), "numpy": "1.0"}}
    with pytest.raises(CommandError, match=r"worker tcp://w2 has numpy 1.0, here it is 2"):
        spread(Client(theirs=theirs), "ada")


def test_a_worker_without_virtlab_is_refused(spread):
    with pytest.raises(CommandError, match="a worker cannot grade: ModuleNotFoundError: No module"):
        spread(Client(theirs=ModuleNotFoundError("No module named 'virtlab'")), "ada")
