"""The same answer in this process, to be held beside the one in a child."""

from virtlab.course.answers import Answer, Stopped, Trouble
from virtlab.course.ps3.machines import Memory
from virtlab.memory import GuestMemory


def memory():
    return Memory(GuestMemory(0x100))


def outcome(answer, *call):
    """What a call gives or raises, as words."""
    try:
        return answer.call(*call)
    except Trouble as trouble:
        return "trouble", str(trouble), trouble.unwritten, answer.printed
    except Stopped as stopped:
        return "stopped", str(stopped), answer.printed


def here(source):
    """The same answer in this process."""
    names = {"__name__": "__main__"}
    exec(source, names)
    answer = Answer(names)
    answer.begin()
    return answer
