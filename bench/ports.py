"""A port for a process that is told its number."""

import socket
import weakref


def held(holder: object) -> int:
    """A port that nobody else is given while the holder lives, and that whoever names it can listen on.

    Both bind with SO_REUSEADDR, which shares a port as long as one of the two listens at most (socket(7)).
    """
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    weakref.finalize(holder, place.close)
    return int(place.getsockname()[1])
