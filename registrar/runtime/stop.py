"""Asks the registrar when a signal may go out to a container that is being stopped.

Every stop waits for this program; it imports only what comes with the interpreter in C. Where the
registrar does not answer as it should, the signal goes out at once.
"""

import _json
import _signal  # type: ignore[import-not-found]  # has no stub
import _socket
import _thread
import posix
import sys
import time

ASK_SECONDS = 2.0
CONNECT_SECONDS = 1.0
READ_SECONDS = 1.0
ANSWER_SECONDS = 2.0
GRACE_SECONDS = 2.0
RETRY_SECONDS = 0.05
MAX_HOLD_SECONDS = 7_200  # the longest drain, and as long again for its acknowledgement
MAX_ANSWER_BYTES = 2**16
MAX_JSON_BYTES = 2**24
HEXADECIMAL = frozenset("0123456789abcdef")
ID_LENGTH = 64


class _Syntax:
    """How the scanner takes JSON: as the json module does."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def signal_number(text: str) -> int:
    """The number of a signal as runc takes it: `15`, `TERM`, `SIGTERM`.

    Raises:
        ValueError: it is none that we know.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    found = getattr(_signal, "SIG" + text.upper().removeprefix("SIG"), None)
    if found is None:
        raise ValueError(text)
    return int(found)


def is_ours(data_root: str, container_id: str) -> bool:
    """Whether a container carries the label that makes it one of the registrar's."""
    path = f"{data_root}/containers/{container_id}/config.v2.json"
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    data = b""
    while part := posix.read(descriptor, 2**20):
        data += part
        if len(data) > MAX_JSON_BYTES:
            return False
    scan = _json.make_scanner(_Syntax())  # type: ignore[arg-type]  # any object with these
    kept, _ = scan(data.decode(), 0)
    return bool(kept["Config"]["Labels"].get("wharfinger.app"))


def is_known_to_be_ours(data_root: str, container_id: str) -> bool:
    """The same, and False where that cannot be read, or not in time.

    Read by a thread, which is left to itself: on a disk that hangs nothing can be ended, but a
    signal that runc would deliver without that disk must not wait for it.
    """
    found = []
    done = _thread.allocate_lock()
    done.acquire()

    def look() -> None:
        try:
            found.append(is_ours(data_root, container_id))
        except Exception:  # noqa: BLE001, S110 - whatever it is, nobody waits for it
            pass
        finally:
            done.release()

    _thread.start_new_thread(look, ())
    done.acquire(timeout=READ_SECONDS)
    return found == [True]


def connected(path: str, data_root: str, container_id: str) -> _socket.socket | None:
    """A connection to the registrar; None when there is none to be had.

    One that is just being restarted is back in a moment; but only its own containers wait for it.
    """
    give_up_at = time.monotonic() + ASK_SECONDS
    ours = False
    while True:
        client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        client.settimeout(CONNECT_SECONDS)
        try:
            client.connect(path)
        except OSError:
            client.close()
        else:
            return client
        ours = ours or is_known_to_be_ours(data_root, container_id)
        if not ours or time.monotonic() + RETRY_SECONDS > give_up_at:
            return None
        time.sleep(RETRY_SECONDS)


def hold_seconds(client: _socket.socket) -> float:
    """How long the registrar wants the signal held back; 0 for what is no such answer."""
    give_up_at = time.monotonic() + ANSWER_SECONDS
    answer = b""
    while True:
        head, blank, body = answer.replace(b"\r\n", b"\n").partition(b"\n\n")
        if blank and b"\n" in body:
            break
        client.settimeout(max(0.001, give_up_at - time.monotonic()))
        part = client.recv(2**12)
        answer += part
        if not part or len(answer) > MAX_ANSWER_BYTES or time.monotonic() > give_up_at:
            return 0
    protocol, status = head.split(b" ", 2)[:2]
    word, seconds = body.partition(b"\n")[0].split(b" ")
    if not protocol.startswith(b"HTTP/1.") or status != b"200" or word != b"hold":
        return 0
    return float(seconds) if seconds.replace(b".", b"", 1).isdigit() else 0


def wait(path: str, data_root: str, container_id: str, signal: str) -> None:
    """Returns when the signal may go out.

    Raises:
        Exception: of whatever kind; then it may, too.
    """
    if len(container_id) != ID_LENGTH or not HEXADECIMAL.issuperset(container_id):
        return  # not Docker's
    number = signal_number(signal)
    client = connected(path, data_root, container_id)
    if client is None:
        return
    client.settimeout(ANSWER_SECONDS)
    client.sendall(
        f"POST /v1/containers/{container_id}/stopping?signal={number} HTTP/1.0\r\n"
        "Content-Length: 0\r\n\r\n".encode()
    )
    seconds = hold_seconds(client)
    if not 0 < seconds <= MAX_HOLD_SECONDS:
        return
    give_up_at = time.monotonic() + seconds + GRACE_SECONDS
    while (left := give_up_at - time.monotonic()) > 0:
        client.settimeout(left)
        if not client.recv(2**12):
            return


if __name__ == "__main__":
    try:
        wait(*sys.argv[1:])
    finally:
        posix.write(1, b"done\n")
        posix._exit(0)  # noqa: SLF001 - as os calls it
