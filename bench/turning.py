"""Callers of a soak: each kind takes one turn as such callers do, and says how it went."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bench.load import COMPLETED, EVENT, RESPONSE_ID, Target
from bench.upstream import FAULTS

_STATUS = re.compile(rb"HTTP/1\.1 (\d+) ")
_PATIENCE_SECONDS = 60.0
_SLOW_BYTES = 700
_SLOW_SECONDS = 0.02
_KEPT = 200
_BIG_BYTES = 300_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn went. `problem` is empty where it went as it should; `faulted`: the upstream was told to fail it."""

    kind: str
    problem: str
    faulted: bool


@dataclass(slots=True)
class Callers:
    """They share a gateway and what they have been answered."""

    host: str
    port: int
    path: str
    key: str = field(repr=False)
    chance: random.Random
    fault_share: float
    _answered: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))

    async def take(self, serial: str) -> Outcome:
        """One turn of a kind that chance picks."""
        kind = self.chance.choices(list(_KINDS), [weight for weight, _ in _KINDS.values()])[0]
        faulted = self.chance.random() < self.fault_share
        model = f"bench-fault.{self.chance.choice(FAULTS)}" if faulted else "bench-20-5" if kind in _PACED else "bench-20"
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                problem = await _KINDS[kind][1](self, serial, model)
        except TimeoutError:
            problem = "it took more than a minute"
        except (OSError, asyncio.IncompleteReadError) as failure:
            problem = f"{type(failure).__name__}: {failure}"
        return Outcome(kind, problem, faulted)

    async def _first(self, serial: str, model: str) -> str:
        return await self._read(self._target(model).request(serial))

    async def _continue(self, serial: str, model: str) -> str:
        previous = self.chance.choice(self._answered) if self._answered else None
        return await self._read(self._target(model).request(serial, previous))

    async def _unstored(self, serial: str, model: str) -> str:
        return await self._read(self._target(model).request(serial, more=b'"store":false,'))

    async def _big(self, serial: str, model: str) -> str:
        return await self._read(self._target(model, _BIG_BYTES).request(serial))

    async def _whole(self, serial: str, model: str) -> str:
        request = self._target(model).request(serial).replace(b'"stream":true,', b'"stream":false,')
        length = len(request.partition(b"\r\n\r\n")[2])
        request = re.sub(rb"content-length: \d+", b"content-length: %d" % length, request, count=1)
        answer = await self._exchange(request)
        return _status_problem(answer) or ("" if b'"status":"completed"' in answer.replace(b" ", b"") else "not completed")

    async def _slow(self, serial: str, model: str) -> str:
        return await self._read(self._target(model).request(serial), slowly=True)

    async def _leave(self, serial: str, model: str) -> str:
        """Ask, and go before or after the first event."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(self._target(model).request(serial))
            await writer.drain()
            if self.chance.random() < 0.5:
                return _status_problem(await reader.read(4096))
            await asyncio.sleep(self.chance.random() / 10)
            return ""
        finally:
            writer.close()

    def _target(self, model: str, padding: int = 0) -> Target:
        return Target.of(f"http://{self.host}:{self.port}{self.path}", self.key, model, padding)

    async def _read(self, request: bytes, *, slowly: bool = False) -> str:
        answer = await self._exchange(request, slowly=slowly)
        if problem := _status_problem(answer):
            return problem
        if COMPLETED not in answer:
            return f"no response.completed after {answer.count(EVENT)} events"
        if (found := RESPONSE_ID.search(answer)) and b'"store":false' not in request:
            self._answered.append(found[1].decode())
        return ""

    async def _exchange(self, request: bytes, *, slowly: bool = False) -> bytes:
        """Send, and read to the end of the connection."""
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=_SLOW_BYTES if slowly else 1 << 20)
        try:
            writer.write(request.replace(b"accept:", b"connection: close\r\naccept:", 1))
            await writer.drain()
            parts = []
            while part := await reader.read(_SLOW_BYTES if slowly else 1 << 20):
                parts.append(part)
                if slowly:
                    await asyncio.sleep(_SLOW_SECONDS)
            return b"".join(parts)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _status_problem(answer: bytes) -> str:
    found = _STATUS.match(answer)
    if found is None:
        return "no answer"
    if found[1] == b"200":
        return ""
    body = answer.partition(b"\r\n\r\n")[2].strip()
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return f"status {found[1].decode()}: {json.loads(body)['error']['message'][:120]}"
    return f"status {found[1].decode()}"


_PACED = frozenset({"slow reader", "leaver"})
_KINDS: dict[str, tuple[int, Callable[[Callers, str, str], Awaitable[str]]]] = {
    "first turn": (30, Callers._first),
    "continuation": (35, Callers._continue),
    "not stored": (10, Callers._unstored),
    "not streamed": (10, Callers._whole),
    "big body": (3, Callers._big),
    "slow reader": (4, Callers._slow),
    "leaver": (8, Callers._leave),
}
