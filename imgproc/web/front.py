"""What stands between clients and the threads that answer: waitress, with what it lacks for many strangers at once.

One thread waits for all connections. It looks at a request before its body is stored, drops connections that do not
move, and keeps their number within limits. Other threads answer, in lanes, so that one kind of request does not keep
those of another waiting; a long answer whose client reads slowly holds none.
"""

from __future__ import annotations

import logging
import select
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from waitress.adjustments import Adjustments
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask

#: In the environment of a request whose body was not taken: the exception that says why.
REFUSED = "imgproc.refused"
#: In the environment of every request: when all of it had come, by ``time.monotonic``.
CAME = "imgproc.came"

#: Answers longer than this are made piece by piece, as the client takes them.
_LONG = 1 << 20
#: So much of a long answer is ready for its client; more is made when half of it is sent.
_STOCK = 1 << 18
#: The lane whose threads make the pieces of long answers.
PIECES = "downloads"
#: The body is looked at again after each of these many bytes.
_LOOK_EVERY = 1 << 20
_READ_BYTES, _READ_BODY_BYTES = 8192, 1 << 18

_TURNED_AWAY = (
    b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 10\r\nContent-Type: text/plain\r\n\r\n"
    b"Error: There are too many connections from this address. Close some, then try again.\n"
)

#: Raises where the body of a request is not to be stored: its environment, the bytes of it that are here, and the
#: bytes that are still to come, with other requests' as well. Called by the thread that all wait for: it may not wait.
Look = Callable[[dict[str, Any], int, int], None]
StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a client may take: connections in all and from one address, seconds for the head of a request, seconds that
    a kept-alive connection may be idle, seconds in which a body or an answer must move at the slowest speed allowed
    (in bytes a second), and seconds for which what a refused request still sends is thrown away."""

    # Windows waits for 512 sockets at most.
    connections: int = 1000 if hasattr(select, "poll") else 400
    per_address: int = 600 if hasattr(select, "poll") else 300
    head_seconds: float = 20.0
    idle_seconds: float = 90.0
    stalled_seconds: float = 25.0
    slowest: float = 4_000.0
    linger_seconds: float = 30.0


class _Request(HTTPRequestParser):  # type: ignore[misc]
    """A request as it comes in; ``refused`` says why its body is not taken."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel.adj)
        self.begun = time.monotonic()
        self.came = 0.0
        self.refused: Exception | None = None
        self._channel = channel
        self._look_at = 0

    @property
    def coming(self) -> int:
        """Bytes of the body that are still to come, as far as its head says."""
        over = self.body_rcv is None or self.completed
        return 0 if over else max(0, self.content_length - self.body_bytes_received)

    def received(self, data: bytes) -> int:
        try:
            consumed: int = super().received(data)
        except OSError as problem:  # the disk is full
            self._refuse(problem)
            return len(data)
        has_body = self.body_rcv is not None and not self.error
        if has_body and not self.completed and self.body_bytes_received >= self._look_at:
            self._look_at = self.body_bytes_received + _LOOK_EVERY
            try:
                self._channel.server.look_at(self._channel, self)
            except Exception as problem:
                self._refuse(problem)
                return len(data)  # the rest is no request of its own
        if self.completed:
            self.came = time.monotonic()
        return consumed

    def _refuse(self, problem: Exception) -> None:
        self.refused, self.completed, self.expect_continue = problem, True, False
        self._channel.linger = True
        if self.chunked:  # as if it had said so: what is here is what was too much
            self.headers["CONTENT_LENGTH"] = str(self.body_bytes_received)
        with suppress(OSError):
            self.close()
        self.body_rcv = None


class _Task(WSGITask):  # type: ignore[misc]
    """A request at work; a refused one is told so by the app, and its connection is closed."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[CAME] = self.request.came
        if self.request.refused:
            environ[REFUSED] = self.request.refused
        return environ

    def execute(self) -> None:
        if self.request.refused:
            self.set_close_on_finish()
        super().execute()


class LongAnswer(ReadOnlyFileBasedBuffer):  # type: ignore[misc]
    """An answer of known length whose pieces are made by threads for that, a little ahead of its client."""

    def __init__(self, answer: Iterable[bytes], length: int) -> None:
        self.remain = length  # what waitress asks a buffer for
        self._answer, self._pieces = answer, iter(answer)
        self._stock = bytearray()
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._at_work = self._closed = False

    @property
    def hungry(self) -> bool:
        """Whether there is nothing to send at the moment."""
        return not self._stock

    def attach(self, channel: Channel) -> None:
        """Say for whom it is, and make the first pieces."""
        self._channel = channel
        self._ask_for_more()

    def prepare(self, size: int | None = None) -> int:
        return self.remain

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def get(self, numbytes: int = -1, skip: bool = False) -> bytes:
        with self._lock:
            piece = bytes(self._stock[: numbytes if numbytes >= 0 else None])
        if skip:
            self.skip(len(piece))
        return piece

    def skip(self, numbytes: int, allow_prune: bool = False) -> None:
        with self._lock:
            del self._stock[:numbytes]
            self.remain -= numbytes
            low = len(self._stock) < min(_STOCK // 2, self.remain)
        if low:
            self._ask_for_more()

    def _ask_for_more(self) -> None:
        with self._lock:
            if self._at_work or self._closed or self._channel is None:
                return
            self._at_work = True
        self._channel.server.lanes[PIECES].add_task(self)

    def service(self) -> None:
        """Make pieces until there is a stock of them; a thread for that does it."""
        assert self._channel is not None
        try:
            while not self._closed and len(self._stock) < _STOCK and len(self._stock) < self.remain:
                piece = next(self._pieces)
                with self._lock:
                    self._stock += piece
        except Exception as problem:  # shorter than promised: only a broken connection says so
            if not self._closed:
                log.warning("An answer broke off: %r", problem)
                self._channel.will_close = True
        with self._lock:
            self._at_work = False
        if self._closed:
            self._end()
        self._channel.server.pull_trigger()

    def cancel(self) -> None:
        """The server ends."""

    def close(self) -> None:
        with self._lock:
            was, self._closed, at_work = self._closed, True, self._at_work
        if not was and not at_work:
            self._end()

    def _end(self) -> None:
        self._stock.clear()
        close = getattr(self._answer, "close", None)
        if close:
            close()


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection. ``moved`` counts its bytes, in both directions."""

    task_class = _Task

    def __init__(self, server: Server, sock: socket.socket, address: Any, adj: Any, map: Any) -> None:
        self.moved = 0
        self.linger = False  # throw away what still comes, so that the client gets to read its answer
        self._lingering: float | None = None
        self._since, self._moved_then = time.monotonic(), 0
        self.parser_class = lambda _: _Request(self)
        super().__init__(server, sock, address, adj, map=map)

    @property
    def idle(self) -> bool:
        """Whether nothing is asked and nothing is to be answered."""
        return not (self.requests or self.request or self.total_outbufs_len or self._lingering)

    @property
    def hungry(self) -> bool:
        """Whether its answer has nothing to send at the moment, for want of pieces."""
        first = self.outbufs[0]
        return isinstance(first, LongAnswer) and first.hungry

    def recv(self, buffer_size: int) -> bytes:
        data: bytes = super().recv(buffer_size)
        self.moved += len(data)
        return data

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close=do_close)
        self.moved += sent
        return sent

    # All connections are asked these two whenever anything happens, so they are short.

    def readable(self) -> bool:
        idle = not (self.requests or self.total_outbufs_len or self.will_close or self.close_when_flushed)
        return idle or self.linger or bool(super().readable())

    def writable(self) -> bool:
        if not (self.total_outbufs_len or self.will_close or self.close_when_flushed):
            return False
        return bool(self.will_close or (self._lingering is None and not self.hungry))

    def handle_read(self) -> None:
        # Little at a time of heads: each may be a request of a few bytes.
        body = self.linger or (self.request is not None and self.request.headers_finished)
        try:
            data = self.recv(_READ_BODY_BYTES if body else _READ_BYTES)
        except OSError:
            self.handle_close()
            return
        if not data:
            self.connected = False
        elif not self.linger:
            self.last_activity = time.time()
            self.received(data)

    def handle_write(self) -> None:
        if self.linger and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if self.total_outbufs_len == 0 and self._lingering is None and self.socket is not None:
                self._lingering = time.monotonic()
                with suppress(OSError):
                    self.socket.shutdown(socket.SHUT_WR)
            if not self.will_close:
                return
        super().handle_write()

    def write_soon(self, data: Any) -> int:
        count: int = super().write_soon(data)
        if isinstance(data, LongAnswer):
            data.attach(self)
            if not self.connected:  # it was closed just before that, with all that it had to send then
                data.close()
        return count

    def turn_away(self) -> None:
        """Answer that there are too many connections, whatever is asked."""
        self.linger = self.close_when_flushed = True
        self.write_soon(_TURNED_AWAY)

    def overdue(self, now: float, limits: Limits) -> bool:
        """Whether the client was given the time it has."""
        if self._lingering is not None:
            return now - self._lingering > limits.linger_seconds
        request = self.request
        if request and not request.headers_finished:
            return bool(now - request.begun > limits.head_seconds)
        at_work = bool(self.requests) and not self.total_outbufs_len
        if at_work or self.hungry:  # not the client's doing
            self._begin_window(now)
        elif self.idle:
            self._begin_window(now)
            return time.time() - self.last_activity > limits.idle_seconds
        elif now - self._since >= limits.stalled_seconds:
            if self.moved - self._moved_then < limits.slowest * limits.stalled_seconds:
                return True
            self._begin_window(now)
        return False

    def _begin_window(self, now: float) -> None:
        self._since, self._moved_then = now, self.moved


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Serves an app on a bound socket; ``run`` serves until the process is told to end."""

    def __init__(
        self,
        app: Application,
        listening: socket.socket,
        *,
        look: Look,
        lanes: Mapping[str, int],
        lane: Callable[[str, str], str],
        limits: Limits | None = None,
        prefix: str = "",
        secure: bool = False,
    ) -> None:
        """
        Args:
            look: asked about each request that has a body, before it is stored and while it comes.
            lanes: threads by the name of a lane; ``PIECES`` is one.
            lane: the lane of a request, by its method and path.
            prefix: what paths may begin with before those of the app, as a proxy passes them on.
            secure: clients talk https, with a proxy.
        """
        self.limits = limits or Limits()
        self.lanes = {name: ThreadedTaskDispatcher() for name in lanes}
        for name, dispatcher in self.lanes.items():
            dispatcher.set_thread_count(lanes[name])
            dispatcher.queue_logger.setLevel(logging.ERROR)
        self._look, self._lane = look, lane
        adj = Adjustments(
            sockets=[listening],
            ident=None,
            url_prefix=prefix,
            url_scheme="https" if secure else "http",
            clear_untrusted_proxy_headers=True,
            connection_limit=self.limits.connections + 10,  # what it counts besides connections
            cleanup_interval=1,
            asyncore_use_poll=True,
            max_request_body_size=sys.maxsize,  # ``look`` says what is too large
            outbuf_high_watermark=sys.maxsize,  # no thread waits for a client
            channel_request_lookahead=1,  # needed to notice that a waiting client went away
        )
        address = (listening.family, listening.type, listening.proto, listening.getsockname())
        super().__init__(
            piecewise(app), {}, True, listening, dispatcher=self, adj=adj, sockinfo=address, bind_socket=False
        )

    def add_task(self, channel: Channel) -> None:
        """Have the next request of a connection answered."""
        request = channel.requests[0]
        # One that could not be read has neither.
        name = self._lane(getattr(request, "command", "GET"), getattr(request, "path", "/"))
        self.lanes[name].add_task(channel)

    def shutdown(self) -> None:
        """End the threads, as waitress asks its dispatcher to."""
        for dispatcher in self.lanes.values():
            dispatcher.shutdown()

    def channel_class(self, _: Server, sock: socket.socket, address: Any, adj: Any, map: Any) -> None:
        """Take a new connection, in place of an idle one where there are enough."""
        channels, host = self.active_channels.values(), address[0]
        from_there = sum(channel.addr[0] == host and not channel.linger for channel in channels)
        away = from_there >= self.limits.per_address and not self._drop_idle(host)
        if len(channels) >= self.limits.connections - 1:
            if away:
                sock.close()
                return
            self._drop_idle(Counter(channel.addr[0] for channel in channels).most_common(1)[0][0])
        channel = Channel(self, sock, address, adj, map)
        if away:
            channel.turn_away()

    def _drop_idle(self, host: str) -> bool:
        """Close the connection from there that has been idle longest; False: none is."""
        idle = [channel for channel in self.active_channels.values() if channel.idle and channel.addr[0] == host]
        if not idle:
            return False
        min(idle, key=lambda channel: channel.last_activity).handle_close()
        return True

    def maintenance(self, now: float) -> None:
        clock = time.monotonic()
        for channel in self.active_channels.values():
            if channel.overdue(clock, self.limits):
                channel.will_close = True

    def look_at(self, channel: Channel, request: _Request) -> None:
        """Raises: Exception: the body of the request is not to be stored."""
        others = (one.request for one in self.active_channels.values() if one is not channel)
        coming = request.coming + sum(other.coming for other in others if other)
        self._look(WSGITask(channel, request).get_environment(), request.body_bytes_received, coming)


def piecewise(app: Application) -> Application:
    """The app, its long answers made piece by piece where it says how long they are."""

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        length = 0

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal length
            length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
            return start_response(status, headers, exc_info)

        pieces = app(environ, start)
        long = length > _LONG and environ["REQUEST_METHOD"] != "HEAD"
        return LongAnswer(pieces, length) if long and not isinstance(pieces, ReadOnlyFileBasedBuffer) else pieces

    return answer
