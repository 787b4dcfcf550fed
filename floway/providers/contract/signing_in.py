"""Ways for a person to sign in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from floway.wire.json import JSON


@dataclass(frozen=True, slots=True)
class SignInField:
    """Something that a person brings back from the provider's pages: one line of text."""

    label: str
    help_text: str


@dataclass(frozen=True, slots=True)
class SignInMethod:
    """One way to sign in, in words for people; the gateway renders it and knows no more of it.

    :param steps: what the person does, sentence by sentence.
    :param redirect_uri: the address that the provider sends the person's browser to at the end, or None where it sends it
        nowhere. It is on the person's own machine, so a gateway elsewhere cannot be reached there.
    :param callback: asks for the address that the browser was sent to; None where the provider is asked instead.
    """

    slug: str
    label: str
    help_text: str
    steps: tuple[str, ...]
    redirect_uri: str | None = None
    callback: SignInField | None = None


@dataclass(frozen=True, slots=True)
class SignInStart:
    """A sign-in that has begun.

    :param url: for the person to open. :param user_code: for the person to type in there; a secret while it lasts.
    :param state: opaque; kept sealed and given back when it is finished.
    :param poll: how long to wait between two attempts to finish it, where the provider is asked.
    :param lifetime: how long the provider holds it open, if it says.
    """

    url: str = field(repr=False)
    state: JSON = field(repr=False)
    user_code: str | None = field(default=None, repr=False)
    poll: timedelta | None = None
    lifetime: timedelta | None = None


@dataclass(frozen=True, slots=True)
class NotYet:
    """The person has not come to the end of the provider's pages."""


class SignInRefused(Exception):
    """A sign-in cannot be finished; `message` tells the person why, without quoting what was sent.

    :param again: nothing has been used up: the same sign-in may be finished with something else, or later.
    """

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.again = again
