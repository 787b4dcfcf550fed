"""What the short way through the application closes, whatever the server does."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from django.http import StreamingHttpResponse

from floway.wsgi import CallersHandler


class Body:
    """Pieces that note their end."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"x"])

    def close(self) -> None:
        self.closed = True


class Refused(Exception):
    """By a server that does not like a header."""


def test_an_answer_that_the_server_refuses_is_closed() -> None:
    def refuse(status: str, headers: object) -> None:
        raise Refused

    handler, body = CallersHandler(), Body()
    handler._middleware_chain = lambda request: StreamingHttpResponse(body)
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/v1/x",
        "wsgi.input": io.BytesIO(),
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
    }
    with pytest.raises(Refused):
        handler(environ, refuse)
    assert body.closed
