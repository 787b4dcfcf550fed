"""What an operator fills in about an API key: what it may do and how much of it, and how it is rotated."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms

from accounts.forms import MomentInput, ProviderField
from accounts.models import ApiKey, KeyBudget, ModelCatalogue
from floway import markup

_LONGEST_NAME = 128
HELPS = {
    "expires_at": "UTC; empty for a key that does not expire.",
    "strict": "Off, a parameter that the upstream does not take is left out, and the answer’s headers name it. On, such a "
    "request is answered 400.",
    "capture_until": "UTC; empty for no capture. Until then each request is kept whole, sealed: what the caller sent, what "
    "went upstream, and both answers. For finding a fault; the captured payloads are deleted after a while.",
    "enabled": "Off, its callers get 401.",
}


class ModelsField(forms.CharField):
    """Names of models, one a line, as a list."""

    widget = forms.Textarea(attrs={"rows": 3, "cols": 40, "spellcheck": "false", "autocomplete": "off"})

    def prepare_value(self, value: Any) -> Any:
        """A list as lines."""
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Lines as a list, each name once."""
        names = list(dict.fromkeys(str(value or "").split()))
        if any(len(name) > _LONGEST_NAME for name in names):
            raise forms.ValidationError(f"A model’s name has at most {_LONGEST_NAME} characters.")
        return names

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compared as lists."""
        return bool(self.to_python(data) != (initial or []))


class KeyForm(forms.ModelForm):  # type: ignore[type-arg] # not subscriptable at run time
    """What a key may do."""

    allowed_models = ModelsField(required=False, label="Models")

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = (
            "name",
            "enabled",
            "expires_at",
            "strict",
            "allowed_models",
            "max_in_flight",
            "capture_until",
            "retention_days",
            "credentials",
        )
        widgets: ClassVar = {"expires_at": MomentInput, "capture_until": MomentInput}
        help_texts = HELPS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "allowed_models" in self.fields:
            self.fields["allowed_models"].help_text = _models_help(self.instance.provider)


class IssueForm(KeyForm):
    """A new key."""

    class Meta(KeyForm.Meta):
        fields = ("name", "expires_at", "allowed_models", "max_in_flight", "strict")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["provider"] = ProviderField()


BudgetFormSet = forms.inlineformset_factory(ApiKey, KeyBudget, fields=("amount", "kind", "window"), extra=3, can_delete=False)


class RotateForm(forms.Form):
    """How long the older secrets go on, in hours."""

    grace = forms.TypedChoiceField(
        label="The old secret",
        choices=[
            (0, "stops working at once"),
            (1, "works for 1 hour more"),
            (24, "works for a day more"),
            (168, "works for 7 days more"),
        ],
        coerce=int,
        required=False,
        help_text="At once, if anybody may have it who should not. Else give its callers time to change over.",
    )


def _models_help(provider: str) -> str:
    catalogues = ModelCatalogue.objects.filter(**({"credential__provider": provider} if provider else {}))
    documents = catalogues.values_list("document", flat=True)
    known = sorted({str(model["id"]) for document in documents for model in document.get("models", ())})
    listed = f" Known now: {', '.join(map(markup.clean, known))}." if known else ""
    return f"Those it may ask for, one a line; empty for every model. Any other does not exist for its callers.{listed}"
