"""The public API."""

from django.urls import path

from responses_app import views

urlpatterns = [
    path("responses", views.ResponsesView.as_view(), name="responses"),
    path("responses/compact", views.CompactView.as_view(), name="compact"),
    path("responses/input_tokens", views.InputTokensView.as_view(), name="input-tokens"),
    path("responses/<str:response_id>", views.ResponseView.as_view(), name="response"),
    path("responses/<str:response_id>/input_items", views.InputItemsView.as_view(), name="input-items"),
    path("responses/<str:response_id>/cancel", views.CancelView.as_view(), name="cancel"),
    path("conversations", views.ConversationsView.as_view(), name="conversations"),
    path("conversations/<str:conversation_id>", views.ConversationView.as_view(), name="conversation"),
    path("conversations/<str:conversation_id>/items", views.ConversationItemsView.as_view(), name="conversation-items"),
    path(
        "conversations/<str:conversation_id>/items/<str:item_id>",
        views.ConversationItemView.as_view(),
        name="conversation-item",
    ),
    path("models", views.ModelsView.as_view(), name="models"),
    path("models/<path:model_id>", views.ModelView.as_view(), name="model"),
]
