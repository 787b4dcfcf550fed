"""Conversations as the tree that their scopes make: whatever the steps are called, equal beginnings are one branch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.db.models import Count, OuterRef, QuerySet, Subquery

from floway import markup
from responses_app.models import Conversation, Snapshot

_SHOWN = 12
_DEEPEST = 8


@dataclass(slots=True)
class Branch:
    """One step of a path: its kind and id, the conversations that end here, and the branches that go on from it."""

    kind: str
    id: str
    conversations: list[Conversation] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a tree that is written line by line: steps that nothing branches from in between stand in one.

    `conversation` is None where they lead only further.
    """

    depth: int
    steps: Sequence[Branch]
    conversation: Conversation | None


def recent() -> Sequence[Line]:
    """The conversations used last, as a tree, the latest branch first."""
    return list(lines(grown(_latest())))


def _latest() -> QuerySet[Conversation]:
    turns = Snapshot.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation").annotate(n=Count("pk"))
    rows = Conversation.objects.select_related("api_key", "credential").defer("note", "latest_note")
    return rows.annotate(settled=Subquery(turns.values("n"))).order_by("-last_used_at")[:_SHOWN]


def grown(conversations: Iterable[Conversation]) -> Sequence[Branch]:
    """The tree of some conversations; branches stand where their first conversation stood. Keys do not share branches."""
    root = Branch("", "")
    for conversation in conversations:
        branch, owner = root, str(conversation.api_key_id)
        steps = [(str(step.get("kind", "?")), str(step.get("id"))) for step in markup.mappings(conversation.scope)]
        for kind, step_id in steps[:_DEEPEST] or [("conversation", str(conversation.pk))]:
            branch = _below(branch, kind, step_id, owner)
            owner = ""
        branch.conversations.append(conversation)
    return root.branches


def _below(branch: Branch, kind: str, step_id: str, owner: str) -> Branch:
    for known in branch.branches:
        same_owner = not owner or owner == str(_first(known).api_key_id)
        if (known.kind, known.id) == (kind, step_id) and same_owner:
            return known
    made = Branch(kind, step_id)
    branch.branches.append(made)
    return made


def _first(branch: Branch) -> Conversation:
    while not branch.conversations:
        branch = branch.branches[0]
    return branch.conversations[0]


def lines(branches: Iterable[Branch], depth: int = 0) -> Iterator[Line]:
    """The tree, line by line, each step before what stands under it."""
    for branch in branches:
        steps = [branch]
        while not steps[-1].conversations and len(steps[-1].branches) == 1:
            steps.append(steps[-1].branches[0])
        ending: Sequence[Conversation | None] = steps[-1].conversations or [None]
        first, *others = ending
        yield Line(depth, steps, first)
        yield from (Line(depth, steps[-1:], other) for other in others)
        yield from lines(steps[-1].branches, depth + 1)
