"""A host, as far as the kernel can make one here: a network of its own that reaches what is relayed into it, and a name."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

_NETWORK = 0x40000000
"""CLONE_NEWNET."""
_libc = ctypes.CDLL(None, use_errno=True)


class Host:
    """Entered by `prefix`, in front of a command."""

    def __init__(self, name: str) -> None:
        script = 'hostname "$0" && ip link set lo up && echo up && exec sleep 600'
        command = ["unshare", "--net", "--uts", "sh", "-c", script, name]
        self._anchor = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._anchor.stdout is not None
        assert self._anchor.stdout.readline() == "up\n"
        self.prefix = ["nsenter", "-t", str(self._anchor.pid), "--net", "--uts", "--"]
        self._listeners: list[socket.socket] = []

    def let_reach(self, port: int) -> None:
        """Its loopback has our loopback's port."""
        listener = self._inside(lambda: socket.create_server(("127.0.0.1", port), backlog=256))
        self._relay(listener, lambda: socket.create_connection(("127.0.0.1", port)))

    def reached_at(self, port: int) -> str:
        """Where its port is on our loopback."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._relay(listener, lambda: self._inside(lambda: socket.create_connection(("127.0.0.1", port))))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def close(self) -> None:
        """Gone."""
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._anchor.kill()
        self._anchor.wait(10)
        assert self._anchor.stdout is not None
        self._anchor.stdout.close()

    def _inside(self, make: Callable[[], socket.socket]) -> socket.socket:
        """A socket made in this host's network; it stays there wherever it is used."""
        made: list[socket.socket] = []

        def work() -> None:
            with Path(f"/proc/{self._anchor.pid}/ns/net").open() as network:
                if _libc.setns(network.fileno(), _NETWORK):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            made.append(make())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if not made:
            raise ConnectionRefusedError
        return made[0]

    def _relay(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self._listeners.append(listener)
        threading.Thread(target=_accept, args=(listener, connect), daemon=True).start()


def _accept(listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_join, args=(near, connect), daemon=True).start()


def _join(near: socket.socket, connect: Callable[[], socket.socket]) -> None:
    with near, contextlib.suppress(OSError), connect() as far:
        back = threading.Thread(target=pump, args=(far, near), daemon=True)
        back.start()
        pump(near, far)
        back.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Hand on what comes, and its end."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
