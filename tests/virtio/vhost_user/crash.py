"""A front-end whose back-end is killed again and again, at chosen moments, and taken over."""

from __future__ import annotations

from tests.virtio.vhost_user.front_end import FrontEnd
from virtlab.virtio.vhost_user import inflight_packed


class Killed(BaseException):
    """The process is gone: nothing after this happens."""


class CrashingFrontEnd(FrontEnd):
    """`moments` says at which step, counted from the last start, each back-end is killed.

    A step is before or after a chain is noted, served, given back, crossed out. The driver does not
    learn of it. `make` makes the device of the next back-end.
    """

    def __init__(self, make, moments, **options):
        self.make, self.moments = make, iter(moments)
        self.kills = self.steps = 0
        self.left, self.starting = None, False
        self.order = []
        super().__init__(make(), inflight=True, **options)

    def connect(self):
        super().connect()
        self.steps, self.left = 0, next(self.moments, None)
        for vring in self.back_end.rings:
            ledger = vring.ledger
            for name in ("took", "took_one", "giving", "gave"):
                setattr(ledger, name, self._between(getattr(ledger, name)))

    def _between(self, call):
        def step(*arguments):
            self.step()
            call(*arguments)
            self.step()

        return step

    def step(self):
        self.steps += 1
        if self.left is not None and self.steps == self.left:
            raise Killed

    def pump(self):
        if self.starting:
            super().pump()
            return
        dead = False
        while True:
            try:
                if dead:
                    self.starting = True
                    self.reconnect(self.make())
                self.starting = dead = False
                super().pump()
            except Killed:
                self.starting, dead = False, True
                self.kills += 1
                self.kill()
            else:
                return


def settle_steps(monkeypatch, front):
    """Let a crash happen also in the middle of what is noted of a packed ring."""
    settle = inflight_packed.PackedTracker._settle

    def step(self, used, which):
        if front:
            front[0].step()
        settle(self, used, which)

    monkeypatch.setattr(inflight_packed.PackedTracker, "_settle", step)
