"""The roles come to an installation that is in use: with people in it, and perhaps with a group of that name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts import roles

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = [("accounts", "0007_pool")]


@pytest.fixture
def earlier() -> Iterator[Any]:
    """The registry of a database without roles."""
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)
    yield MigrationExecutor(connection).loader.project_state(BEFORE).apps
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_an_upgrade_makes_the_roles_and_leaves_people_and_their_groups_as_they_are(earlier: Any) -> None:
    group, people = earlier.get_model("auth", "Group").objects, earlier.get_model("auth", "User").objects
    group.all().delete()
    there_before = people.create(username="there-before", is_staff=True)
    there_before.groups.add(group.create(name="viewer"))
    call_command("migrate", interactive=False, verbosity=0)
    assert set(Group.objects.values_list("name", flat=True)) == {roles.OWNER, roles.OPERATOR, roles.VIEWER}
    person, mine = User.objects.get(), Group.objects.get(name="viewer")
    assert [found.pk for found in person.groups.all()] == [mine.pk]
    assert person.has_perm("responses_app.view_exchange")
    before = set(mine.permissions.values_list("pk", flat=True))
    call_command("migrate", interactive=False, verbosity=0)
    assert set(mine.permissions.values_list("pk", flat=True)) == before
