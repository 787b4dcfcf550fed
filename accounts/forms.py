"""What an operator fills in: how to sign in, a login's document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from accounts import proxies, signing_in
from floway.providers import registry
from floway.providers.contract import SignInField, SignInMethod

_LARGEST_DOCUMENT = 1024 * 1024
_LONGEST_CALLBACK = 16 * 1024


class SecretTextarea(forms.Textarea):
    """Takes a secret and never gives it back: a form shown again stands empty."""

    def format_value(self, value: Any) -> None:
        """Nothing, whatever was sent."""
        return


class MomentInput(forms.DateTimeInput):
    """The browser's own picker: no script of ours or of anybody's."""

    input_type = "datetime-local"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%dT%H:%M")


def provider_label(slug: str) -> str:
    """A provider's name for people, as its settings have it."""
    return str(settings.FLOWAY_PROVIDERS.get(slug, {}).get("label", slug))


def import_help(slug: str) -> str:
    """What its settings say about where the document is to be found."""
    return str(settings.FLOWAY_PROVIDERS.get(slug, {}).get("import_help", ""))


class ProviderField(forms.ChoiceField):
    """One of the configured providers; hidden while there is no choice."""

    def __init__(self) -> None:
        super().__init__(choices=[(slug, provider_label(slug)) for slug in registry.slugs()], initial=registry.default_slug())
        if len(registry.slugs()) == 1:
            self.widget = forms.HiddenInput()


class ProxyForm(forms.Form):
    """A proxy's URL, taken and never given back."""

    url = forms.CharField(
        required=False,
        label="URL",
        help_text="http://user:password@host:port, or https://…",
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "class": "vTextField"}),
    )

    def clean_url(self) -> str:
        """One that a proxy may have, or nothing."""
        url = str(self.cleaned_data["url"])
        try:
            return proxies.checked(url) if url else ""
        except proxies.InvalidProxy as invalid:
            raise forms.ValidationError(str(invalid)) from invalid


class ImportForm(forms.Form):
    """A login's document, pasted or chosen."""

    paste = forms.CharField(
        required=False,
        strip=False,
        label="Paste the document",
        max_length=_LARGEST_DOCUMENT,
        widget=SecretTextarea(attrs={"rows": 10, "autocomplete": "off", "spellcheck": "false", "class": "vLargeTextField"}),
    )
    upload = forms.FileField(required=False, label="or choose its file", help_text="At most 1 MiB; it is read in memory only.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["provider"] = ProviderField()

    def clean_upload(self) -> bytes | None:
        """The file's bytes."""
        upload: UploadedFile[bytes] | None = self.cleaned_data["upload"]
        if upload is None:
            return None
        if upload.size is None or upload.size > _LARGEST_DOCUMENT:
            raise forms.ValidationError("The file is larger than 1 MiB.")
        return bytes(upload.read())

    def clean(self) -> dict[str, Any]:
        """Exactly one of the two."""
        given = [value for value in (self.cleaned_data.get("paste"), self.cleaned_data.get("upload")) if value]
        if not self.errors and len(given) != 1:
            raise forms.ValidationError("Paste the document or choose its file (at most 1 MiB): one of the two.")
        self.cleaned_data["document"] = given[0] if given else b""
        return self.cleaned_data


class SignInForm(forms.Form):
    """One of the providers' ways to sign in."""

    def __init__(self, *args: Any, slugs: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ways = {f"{slug}:{name}": (slug, way) for slug in slugs for name, way in signing_in.methods(slug).items()}
        choices = [(key, _way(slug, way, many=len(slugs) > 1)) for key, (slug, way) in self.ways.items()]
        initial = choices[0][0] if choices else None
        self.fields["method"] = forms.ChoiceField(choices=choices, initial=initial, widget=forms.RadioSelect)

    def chosen(self) -> tuple[str, SignInMethod]:
        """Provider and method of a valid form."""
        return self.ways[self.cleaned_data["method"]]

    @property
    def offered(self) -> list[tuple[Any, str]]:
        """Each choice with its help text."""
        helps = [way.help_text for _, way in self.ways.values()]
        return list(zip(self["method"], helps, strict=True))


def _way(slug: str, method: SignInMethod, *, many: bool) -> str:
    return f"{provider_label(slug)}: {method.label}" if many else method.label


class CallbackForm(forms.Form):
    """What a person brings back from the provider's pages; nothing where the provider is asked."""

    def __init__(self, *args: Any, asks: SignInField | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if asks is not None:
            look = {"rows": 4, "autocomplete": "off", "spellcheck": "false", "class": "vLargeTextField"}
            self.fields["callback"] = forms.CharField(
                label=asks.label, help_text=asks.help_text, max_length=_LONGEST_CALLBACK, widget=SecretTextarea(attrs=look)
            )
