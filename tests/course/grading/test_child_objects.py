"""Objects that cross: machines, records, lists and an answer's own, and whose they stay."""

import pytest

from tests.course.grading.line import line
from tests.course.grading.nearby import memory, outcome
from virtlab.course.answers import Built, Trouble
from virtlab.course.given.rings import DeviceSide


def test_an_object_of_the_case_comes_back_as_itself():
    token, ram = object(), memory()
    with line("def f(*all): return all[::-1]") as (answer, _):
        assert answer.call("f", token, ram, token) == (token, ram, token)


def test_an_object_of_the_answer_equals_nothing_and_has_its_name():
    with line("class Mine:\n    def __eq__(self, x): return True\ndef f(): return Mine()") as both:
        found = both[0].call("f")
        assert type(found).__name__ == "Mine"
        assert found not in (1, "a", None)
        assert found == found


def test_the_answers_object_comes_back_to_it_as_itself():
    with line("mine = object()\ndef f(): return mine\ndef g(x): return x is mine") as (answer, _):
        assert answer.call("g", answer.call("f")) is True


def test_what_was_built_is_called_and_asked():
    source = (
        "class Device:\n    kind = 4\n    def __init__(self, n=1): self.n = n\n"
        "    def more(self, by): self.n += by; return self.n\n"
    )
    with line(source) as (answer, _):
        built = answer.build("Device")
        assert built.call("more", 2) == 3
        assert built.call("__getattribute__", "kind") == 4
        with pytest.raises(Trouble, match="no attribute 'less'"):
            built.call("less")
        assert Built(answer, "Device", answer.call("Device", 7)).call("more", 1) == 8


def test_what_is_none_is_built_as_none():
    with line("def Device(): pass") as (answer, _), pytest.raises(Trouble, match="'NoneType'"):
        answer.build("Device").call("read")


def test_calls_nest():
    said = []
    with line("def f(back, n): return n if n == 0 else back(n - 1) + 1") as (answer, _):

        def back(n):
            said.append(n)
            return answer.call("f", back, n)

        assert answer.call("f", back, 5) == 5
        assert said == [4, 3, 2, 1, 0]


def test_calls_nest_only_so_deep():
    with line("def f(back): return back()") as (answer, _):

        def back():
            return answer.call("f", back)

        assert "deep" in str(outcome(answer, "f", back))


def test_a_list_is_kept_alike_through_all_that_happens():
    seen = []
    with line("def f(q, look):\n    q.append(1); look(); q.append(3); return q") as (answer, _):
        q = []

        def look():
            seen.append([*q])
            q.append(2)

        assert answer.call("f", q, look) is q
        assert (seen, q) == ([[1]], [1, 2, 3])


def test_a_kept_buffer_shows_what_was_put_into_it_later():
    source = "kept = []\ndef f(data): kept.append(data)\ndef g(): return bytes(kept[0])"
    with line(source) as (answer, _):
        buffer = bytearray(b"old")
        answer.call("f", buffer)
        buffer[:] = b"new"
        assert answer.call("g") == b"new"


def test_a_records_fields_verbs_and_other_attributes():
    source = (
        "def f(q):\n    q.pushed += 1; q.mine = 5\n"
        "    return q.size, q.walk(3), q.memory.load(0, 1)\n"
        "def g(q): return q.mine, q.pushed, repr(q)[:16]\n"
    )
    with line(source) as (answer, _):
        q = DeviceSide(1, 2, 3, 4, memory=memory(), walk=lambda head: [(head, 1, True)])
        assert answer.call("f", q) == (4, [(3, 1, True)], 0)
        assert q.pushed == 1
        assert not hasattr(q, "mine")
        q.pushed = 9
        assert answer.call("g", q) == (5, 9, "DeviceSide(desc=")


def test_a_wrapper_of_the_answers_own_in_a_record_can_be_called_back():
    with line("def f(q): q.walk = lambda n: n + 1\n") as (answer, _):
        q = DeviceSide(1, 2, 3, 4)
        answer.call("f", q)
        assert q.walk(4) == 5


def test_what_the_answer_gives_to_go_through_is_gone_through():
    source = "def f(take): take(i * 2 for i in range(3)); return range(2)"
    got = []
    with line(source) as (answer, _):
        assert list(answer.call("f", lambda items: got.extend(items))) == [0, 1]
    assert got == [0, 2, 4]


def test_an_object_of_a_case_that_is_over_answers_nothing():
    source = "kept = []\ndef f(m): kept.append(m)\ndef g(): return kept[0].load(0, 1)"
    with line(source) as (answer, _):
        answer.call("f", memory())
        answer.begin()
        assert "RuntimeError" in outcome(answer, "g")[1] or "_Over" in outcome(answer, "g")[1]
        assert answer.call("f", 1) is None


def test_the_way_of_a_value_is_there_and_back_past_the_answers_code():
    with line("1 / 1") as (answer, child):
        assert answer.elsewhere
        answer.way([1, b"abc"])
        assert child.crossed == 0
