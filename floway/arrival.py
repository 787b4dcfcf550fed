"""A request as it arrives: gunicorn's, whose body can be had piece by piece as it comes, and left where nobody wants it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from gunicorn.http import errors
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.message import Request, _ip_in_allow_list

from floway.wire.errors import InvalidRequest

_PIECE = 64 * 1024
_MOST_UNWANTED = 1024 * 1024
"""Of a body that is read only to come to the next request; a new connection is cheaper than more of it."""


class Arriving(Body):  # type: ignore[misc] # gunicorn has no types
    """A body. gunicorn's own `read` fills buffers until it has all that was asked for, and copies it four times on the way."""

    def read(self, size: int | None = None) -> bytes:
        """As gunicorn's. :raises InvalidRequest: its chunks are none, or it ends within one."""
        try:
            return bytes(super().read(size))
        except (errors.ParseException, errors.NoMoreData) as error:
            self.failed = True
            raise InvalidRequest("The request body is not valid HTTP/1.1.", code="invalid_http") from error

    def read1(self, size: int) -> bytes:
        """At most `size` bytes: those that are there, or come first; nothing at its end. As of Python's buffered readers."""
        reader = self.reader
        if self.buf.tell() or not isinstance(reader, LengthReader):
            return self.read(size)
        most = min(size, reader.length)
        if most == 0:
            return b""
        try:
            data: bytes = reader.unreader.some(most)
        except Exception:
            self.failed = True
            raise
        reader.length -= len(data)
        self.failed = not data
        return data


class Arrival(Request):  # type: ignore[misc] # as above
    """One request on a connection that is read by a `floway.pace.Pace`."""

    body: Any

    def set_body_reader(self) -> None:
        """Of what the headers say there is; who can say it in two ways is refused."""
        super().set_body_reader()
        self.body = Arriving(self.body.reader)

    def _peer_is_trusted_proxy(self) -> bool:
        peer = self.peer_addr
        return not isinstance(peer, tuple) or _is_trusted(self.cfg, peer[0])

    def should_close(self) -> bool:
        """As gunicorn's; and where no next request can be come to, so that the answer says it."""
        return bool(super().should_close()) or self.body.failed or self._has_too_much_left

    @property
    def _has_too_much_left(self) -> bool:
        reader = self.body.reader
        return isinstance(reader, LengthReader) and reader.length > _MOST_UNWANTED

    @property
    def has_rest(self) -> bool:
        """Is there more of its body to come than was read?"""
        reader = self.body.reader
        return bool(reader.length if isinstance(reader, LengthReader) else reader.parser)

    def drain(self) -> bool:
        """Read what is left of a body that nobody wanted, up to a bound; was that all of it?"""
        left = _MOST_UNWANTED
        while left > 0 and self.has_rest and not self.body.failed:
            data = self.body.read1(_PIECE)
            left -= len(data)
            if not data:
                break
        return not self.has_rest


@lru_cache(maxsize=1024)
def _is_trusted(cfg: Any, address: str) -> bool:
    """Asked for each request otherwise, and the callers' addresses are few."""
    return bool(_ip_in_allow_list(address, cfg.forwarded_allow_ips, cfg.forwarded_allow_networks()))
