"""Who is at the other end of a unix socket, in the kernel's own word."""

import socket
import struct
from dataclasses import dataclass
from typing import Final

_UCRED: Final = struct.Struct("=iII")  # unix(7), struct ucred


@dataclass(frozen=True, slots=True)
class PeerCredentials:
    """As they were when the other end connected or began to listen (SO_PEERCRED, unix(7)).

    Attributes:
        pid: as our own pid namespace has it; 0 for a process outside of it.
    """

    pid: int
    uid: int
    gid: int


def of_peer(connection: socket.socket) -> PeerCredentials:
    """The process at the other end.

    Raises:
        OSError: the socket is not connected.
    """
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return PeerCredentials(*_UCRED.unpack(told))
