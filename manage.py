#!/usr/bin/env python
"""Django's command line for Floway."""

import os
import sys


def main() -> None:
    """Run the command that the arguments name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "floway.settings")
    if sys.argv[1:2] == ["serve"]:
        from gevent import monkey

        monkey.patch_all()  # before anything takes a lock or a socket: the processes that serve are forked from this one
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    os.umask(0o077)  # what the gateway writes is for its owner alone
    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
    except ImproperlyConfigured as error:
        sys.exit(f"floway: {error}")
    except OperationalError as error:
        sys.exit(f"floway: the database cannot be used: {error}")


if __name__ == "__main__":
    main()
