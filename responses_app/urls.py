"""The public API."""

from django.urls import path

from responses_app import views

urlpatterns = [
    path("responses", views.ResponsesView.as_view(), name="responses"),
    path("responses/compact", views.CompactView.as_view(), name="compact"),
    path("models", views.ModelsView.as_view(), name="models"),
]
