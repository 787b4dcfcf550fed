"""What was asked and answered."""

from django.apps import AppConfig


class ResponsesConfig(AppConfig):
    """Conversations, snapshots, exchanges."""

    name = "responses_app"
    verbose_name = "Responses"
