"""What goes wrong between our front-end and a back-end, and how it is said: by the request."""

import select
import threading

import pytest

from tests.descriptors import fd_count
from tests.hosts.vhost_user_threads import (
    BEGIN,
    EVERYTHING,
    GO,
    NOTES,
    Paper,
    answer_another,
    answer_without_flag,
    device,
    hang_up,
    listen,
    live,
    new_cpu,
    once,
    refuse,
    say_nothing,
)
from virtlab.hosts.vhost_user_link import Refused
from virtlab.virtio.features import Feature
from virtlab.virtio.status import Status
from virtlab.virtio.vhost_user.layouts import (
    ProtocolFeature,
    Request,
)

F = ProtocolFeature


ON_THE_WAY = [*BEGIN, "SET_FEATURES", "GET_INFLIGHT_FD", *dict.fromkeys(GO), "RESET_DEVICE"]


@pytest.mark.parametrize("name", ON_THE_WAY)
def test_a_connection_that_ends_names_the_request(name, path):
    answers = {**NOTES, Request[name]: hang_up}
    cpu, before = new_cpu(), fd_count()
    with Paper(path, answers, EVERYTHING):
        # What has no answer may be sent before it is known that nobody reads it.
        told = name if name != "SET_PROTOCOL_FEATURES" else "GET_QUEUE_NUM"
        with pytest.raises(ConnectionError) as caught, device(path, cpu) as transport:
            live(transport, queues=2)
        assert str(caught.value).startswith(f"{told}: ")
    # The error still knows the device, so what is closed by now was closed by it.
    assert fd_count() == before


def test_a_request_to_nobody_names_the_request_once(path):
    with Paper(path, {Request.SET_OWNER: hang_up}, {F.CONFIG}), device(path) as transport:
        assert select.select(transport.session.fds, [], [], 30)[0]
        assert transport.session.lost
        with pytest.raises(ConnectionError, match=r"^GET_CONFIG: Broken pipe$"):
            transport.config_read(0, 1)


@pytest.mark.parametrize(
    ("name", "action", "says"),
    [
        ("GET_FEATURES", say_nothing, "no answer within 0.05 s"),
        ("GET_FEATURES", answer_another, "the answer is one to GET_STATUS"),
        ("GET_QUEUE_NUM", answer_without_flag, "without the reply flag"),
        ("SET_OWNER", say_nothing, "no answer within 0.05 s"),
        ("SET_MEM_TABLE", answer_another, "the answer is one to GET_STATUS"),
        ("GET_INFLIGHT_FD", lambda c, m: c.reply(m.request, m.payload), "without a buffer"),
    ],
)
def test_an_answer_that_is_none(name, action, says, path):
    answers = {**NOTES, Request[name]: action}
    cpu, before = new_cpu(), fd_count()
    with (
        Paper(path, answers, EVERYTHING),
        pytest.raises(ConnectionError, match=f"^{name}: .*{says}"),
        device(path, cpu, patience=0.05 if "0.05" in says else 10) as transport,
    ):
        live(transport)
    assert fd_count() == before


@pytest.mark.parametrize("name", ["SET_OWNER", "SET_MEM_TABLE", "SET_VRING_NUM", "RESET_DEVICE"])
def test_what_a_back_end_refuses_it_says(name, path):
    answers = {**NOTES, Request[name]: once(refuse)}
    with (
        Paper(path, answers, EVERYTHING),
        pytest.raises(Refused, match=f"^{name}: the back-end refuses it"),
        device(path, reconnects=True) as transport,
    ):
        live(transport)


def test_a_back_end_that_does_not_read(path):
    """The socket is full at some time; then the request that did not fit is named."""
    listener = listen(path)
    paper = threading.Thread(target=lambda: kept.append(listener.accept()[0].recv(12)))
    kept = []
    paper.start()
    with pytest.raises(ConnectionError, match="GET_FEATURES: "):
        device(path, patience=0.05)
    paper.join()
    listener.close()


def test_nobody_listens(path):
    with pytest.raises(ConnectionError, match=f"no back-end listens at {path}: No such file"):
        device(path, patience=0.0)
    listen(path).close()
    with pytest.raises(ConnectionError, match="Connection refused"):
        device(path, patience=0.01)


def test_a_back_end_may_begin_to_listen_later(path):
    with Later(path), device(path) as transport:
        assert transport.device_features() == 1 << Feature.VERSION_1


class Later:
    """A back-end that is there after a moment."""

    def __init__(self, path):
        self.timer = threading.Timer(0.05, self._begin, (path,))
        self.begun = threading.Event()

    def _begin(self, path):
        self.paper = Paper(path)
        self.begun.set()

    def __enter__(self):
        self.timer.start()

    def __exit__(self, *_):
        self.begun.wait(30)
        self.paper.__exit__()


def test_a_request_without_a_connection(path):
    with Paper(path), device(path) as transport:
        transport.close()
        with pytest.raises(ConnectionError, match="SET_FEATURES: there is no connection"):
            transport.set_status(Status.FEATURES_OK)
        assert transport.session.lost
        transport.close()
