"""The emulated link does what it says; the transfers' tests and figures rest on it."""

import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Iterator

import pytest
from link import QUEUE_BYTES, Link

RATE = 100e6
BYTES = 5_000_000


class Echo:
    """A server on 127.0.0.1 whose connections answer `e` with what follows, eat after `s` and pour `BYTES` after `p`."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.ended = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._talk, args=(connection,)))
            self._threads[-1].start()

    def _talk(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(OSError):
            kind = connection.recv(1)
            if kind == b"p":
                connection.sendall(bytes(BYTES))
            count = 0
            while data := connection.recv(65536):
                count += len(data)
                if kind == b"e":
                    connection.sendall(data)
            if kind == b"s":
                connection.sendall(str(count).encode())
        self.ended.release()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


def connect(link: Link, kind: bytes) -> socket.socket:
    sock = socket.create_connection((link.host, link.port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(kind)
    return sock


def ask(sock: socket.socket) -> float:
    """A byte there and back, in seconds."""
    start = time.perf_counter()
    sock.sendall(b"?")
    assert sock.recv(1) == b"?"
    return time.perf_counter() - start


def send_all(link: Link) -> float:
    """Seconds until the other end has got BYTES and says so."""
    with connect(link, b"s") as sock:
        start = time.perf_counter()
        sock.sendall(bytes(BYTES))
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == str(BYTES).encode()
        return time.perf_counter() - start


def receive_all(link: Link) -> float:
    with connect(link, b"p") as sock:
        left, start = BYTES, time.perf_counter()
        while left:
            left -= len(sock.recv(min(left, 65536)))
        return time.perf_counter() - start


def test_rate(echo: Echo) -> None:
    """Never above; and 95 % in the best of some tries, since other tests want the processors too."""
    with Link("127.0.0.1", echo.port, RATE, 0.005) as link:
        for work in (send_all, receive_all):
            rates = [8 * BYTES / work(link)]
            while max(rates) < 0.95 * RATE and len(rates) < 8:
                rates.append(8 * BYTES / work(link))
            assert 0.95 * RATE < max(rates) < 1.02 * RATE, rates
        assert link.traffic.connections >= 2 and link.traffic.up > BYTES and link.traffic.down > BYTES


def test_both_directions_at_once_have_the_full_rate_and_connections_share_it(echo: Echo) -> None:
    with Link("127.0.0.1", echo.port, RATE, 0.005) as link:
        seconds: dict[str, float] = {}
        works = {"up": send_all, "down 1": receive_all, "down 2": receive_all}
        threads = [threading.Thread(target=lambda name=name, work=work: seconds.update({name: work(link)}))  # type: ignore[misc]
                   for name, work in works.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    once = 8 * BYTES / RATE
    assert once < seconds["up"] < 1.5 * once < min(seconds["down 1"], seconds["down 2"])
    assert 1.6 * once < max(seconds["down 1"], seconds["down 2"]) < 3 * once


@pytest.mark.parametrize("round_trip_s", [0.0, 0.005, 0.02])
def test_round_trip(echo: Echo, round_trip_s: float) -> None:
    with Link("127.0.0.1", echo.port, RATE, round_trip_s) as link, connect(link, b"e") as sock:
        ask(sock)
        asked = [ask(sock) for _ in range(30)]
    assert round_trip_s <= min(asked) < round_trip_s + 0.002


def test_a_new_connection_costs_a_round_trip_before_it_speaks(echo: Echo) -> None:
    with Link("127.0.0.1", echo.port, round_trip_s=0.1) as link:
        start = time.perf_counter()
        with connect(link, b"e") as sock:
            ask(sock)
        assert 0.2 <= time.perf_counter() - start < 0.4


def test_latency_under_load_is_a_full_queue(echo: Echo) -> None:
    with Link("127.0.0.1", echo.port, RATE, 0.02) as link, connect(link, b"e") as sock:
        ask(sock)
        load = threading.Thread(target=send_all, args=(link,))
        load.start()
        time.sleep(0.15)
        asked = [ask(sock) for _ in range(3)]
        load.join()
    queue_s = 8 * QUEUE_BYTES / RATE
    assert 0.02 + 0.5 * queue_s < statistics.median(asked) < 0.02 + queue_s + 0.05


def test_a_sender_cannot_put_more_into_a_silent_link_than_a_network_holds(echo: Echo) -> None:
    with Link("127.0.0.1", echo.port, RATE, 0.02) as link, connect(link, b"s") as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)  # its own is not the link's
        link.freeze()
        sock.setblocking(False)
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while taken < BYTES:
                taken += sock.send(bytes(65536))
        assert taken < 1_000_000


def test_cut(echo: Echo) -> None:
    with Link("127.0.0.1", echo.port) as link:
        with connect(link, b"e") as first, connect(link, b"e") as second:
            ask(first), ask(second)
            link.cut()
            for sock in (first, second):
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
            assert echo.ended.acquire(timeout=5) and echo.ended.acquire(timeout=5)
        with connect(link, b"e") as third:
            ask(third)
        assert link.traffic.connections == 3


def test_an_unseen_cut_leaves_the_far_end_in_the_dark(echo: Echo) -> None:
    with Link("127.0.0.1", echo.port) as link:
        with connect(link, b"e") as sock:
            ask(sock)
            link.cut(unseen=True)
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        assert not echo.ended.acquire(timeout=0.3)
    assert echo.ended.acquire(timeout=5)


def test_cut_after_so_many_bytes(echo: Echo) -> None:
    with Link("127.0.0.1", echo.port, 800e6, 0.001) as link:
        link.cut_after(123_457)
        with connect(link, b"p") as sock:
            got = 0
            with pytest.raises(ConnectionResetError):
                while True:
                    got += len(sock.recv(65536))
        assert 0 < got <= 123_456  # and the one byte upwards; what TCP still held when it was reset is lost
        assert link.traffic.up + link.traffic.down == 123_457
        receive_all(link)  # once only


def test_another_pace(echo: Echo) -> None:
    with Link("127.0.0.1", echo.port) as link, connect(link, b"e") as sock:
        link.pace(RATE, 0.05)
        assert ask(sock) >= 0.05
        assert 0.5 * RATE < 8 * BYTES / (send_all(link) - 0.1) < 1.05 * RATE
        link.pace(None)
        ask(sock)
        assert min(ask(sock) for _ in range(10)) < 0.02


def test_freeze_and_thaw(echo: Echo) -> None:
    with Link("127.0.0.1", echo.port, RATE, 0.005) as link, connect(link, b"e") as sock:
        ask(sock)
        link.freeze()
        sock.settimeout(0.3)
        sock.sendall(b"?")
        with pytest.raises(TimeoutError):
            sock.recv(1)
        with socket.create_connection((link.host, link.port), timeout=1) as other:
            other.settimeout(0.3)
            other.sendall(b"e?")
            with pytest.raises(TimeoutError):
                other.recv(1)
            link.thaw()
            for one in (sock, other):
                one.settimeout(5)
                assert one.recv(1) == b"?"


def test_down_and_up(echo: Echo) -> None:
    with Link("127.0.0.1", echo.port) as link:
        with connect(link, b"e") as sock:
            ask(sock)
            link.down()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((link.host, link.port), timeout=1)
        link.up()
        with connect(link, b"e") as again:
            ask(again)


def test_ends_of_streams_pass_through_and_nobody_there_is_a_reset(echo: Echo) -> None:
    with Link("127.0.0.1", echo.port, RATE, 0.02) as link:
        with connect(link, b"e") as sock:
            sock.sendall(b"last words")
            sock.shutdown(socket.SHUT_WR)
            heard = b""
            while data := sock.recv(100):
                heard += data
            assert heard == b"last words"
        assert link.traffic.open == 0
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with Link("127.0.0.1", port) as link, pytest.raises(ConnectionResetError):  # while it connects, or right after
        with socket.create_connection((link.host, link.port), timeout=5) as sock:
            sock.recv(1)
