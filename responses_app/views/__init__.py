"""The API's doors, a file per subject. They decide nothing: read, hand on, render."""

from responses_app.views.base import ApiView, unknown_url
from responses_app.views.conversations import (
    ConversationItemsView,
    ConversationItemView,
    ConversationsView,
    ConversationView,
)
from responses_app.views.models import ModelsView, ModelView
from responses_app.views.objects import CancelView, InputItemsView, InputTokensView, ResponseView
from responses_app.views.turns import CompactView, ResponsesView

__all__ = [
    "ApiView",
    "CancelView",
    "CompactView",
    "ConversationItemView",
    "ConversationItemsView",
    "ConversationView",
    "ConversationsView",
    "InputItemsView",
    "InputTokensView",
    "ModelView",
    "ModelsView",
    "ResponseView",
    "ResponsesView",
    "unknown_url",
]
