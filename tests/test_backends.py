"""The outside world: what it shows, what it sends, and what it is bounded by."""

from virtlab.backends import MAX_CAPTURE, Keyboard, ModemLines, Mouse, Terminal


def test_a_terminal_shows_what_it_receives():
    terminal = Terminal()
    for byte in b"ok\xff":
        terminal.receive(byte)
    assert terminal.text == "ok\\xff"
    assert repr(terminal) == "Terminal(3 bytes received)"


def test_a_guest_that_never_stops_printing_does_not_fill_the_host():
    terminal = Terminal()
    terminal.output.extend(bytes(MAX_CAPTURE))
    terminal.receive(1)
    assert len(terminal.output) <= MAX_CAPTURE
    assert terminal.output[-1] == 1


def test_what_is_typed_reaches_the_listener():
    terminal, got = Terminal(), []
    terminal.type("lost: nobody listens")
    terminal.listener = got.append
    terminal.type("ls\n")
    terminal.type(b"\x03")
    assert got == [b"ls\n", b"\x03"]


def test_modem_lines_reach_the_listener():
    terminal, got = Terminal(), []
    terminal.set_modem(ModemLines(cts=False))
    terminal.modem_listener = got.append
    terminal.set_modem(ModemLines(ri=True))
    assert got == [ModemLines(ri=True)]
    assert terminal.modem.ri


def test_keys_go_down_and_up():
    keyboard, got = Keyboard(), []
    keyboard.press("A")
    keyboard.listener = lambda key, down: got.append((key, down))
    keyboard.tap("A", "B")
    assert got == [("A", True), ("A", False), ("B", True), ("B", False)]


def test_the_mouse_tells_movement_and_buttons():
    mouse, got = Mouse(), []
    mouse.move(1, 1)
    mouse.listener = lambda *packet: got.append(packet)
    mouse.press(9)
    mouse.move(3, -2)
    assert got == [(0, 0, 1), (3, -2, 1)]


def test_the_wheel_turns():
    mouse, got = Mouse(), []
    mouse.scroll(1)
    mouse.wheel_listener = got.append
    mouse.scroll(-2)
    assert got == [-2]
