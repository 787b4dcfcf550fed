"""Whether a caller is still there: for how long that is believed, and asked when something would begin for it."""

from __future__ import annotations

import socket
from typing import Any

STALL_SECONDS = 60
"""Who takes nothing of what it is sent for so long counts as gone; a place that it holds is somebody else's."""


def has_left(caller: Any) -> bool:
    """Has the caller ended its connection? Asks the kernel, and never waits.

    :param caller: its socket, gevent's or Python's.
    """
    plain = getattr(caller, "_sock", caller)  # gevent's own would wait for something to read
    try:
        return bool(plain.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"")
    except BlockingIOError:
        return False
    except OSError:
        return True
