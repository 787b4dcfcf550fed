"""The gateway's settings with the Echo provider and no other."""

from floway.settings import *  # noqa: F403 - all of them

FLOWAY_PROVIDERS = {"echo": {"class": "tests.fakes.echo.EchoProvider"}}
