"""Prices of models as public pages gave them, each with its page and day. Rows that are there already stay as they are.

US dollars per million tokens, for requests that are not long, at the standard tier. Backwards, those that nobody has changed go.
"""

from datetime import date
from decimal import Decimal

from django.db import migrations

SPRING = "https://fernando-nog.netlify.app/gpt-coding-model-costs-2026/"
JUNE = "https://tokenmix.ai/blog/openai-api-cost-2026-gpt-5-5-5-4-nano-batch"
SUMMER = "https://docs.laozhang.ai/en/announcements/gpt-5-6-pricing-2026-07.md"
ASTRA = "https://github.com/TheKrush/PromptFuel/releases/tag/v1.0.19"
AUTUMN = "https://github.com/merefield/codexometer/releases/tag/v0.18.4"

PRICES = (
    # model, from, input, cached input, output, source, read on
    ("gpt-5.3-codex", date(2026, 5, 5), "1.75", "0.175", "14", SPRING, date(2026, 5, 5)),
    ("gpt-5.5", date(2026, 6, 4), "5", "0.5", "30", JUNE, date(2026, 6, 4)),
    ("gpt-5.4", date(2026, 6, 4), "2.5", "0.25", "15", JUNE, date(2026, 6, 4)),
    ("gpt-5.4-mini", date(2026, 6, 4), "0.75", "0.075", "4.5", JUNE, date(2026, 6, 4)),
    ("gpt-5.4-nano", date(2026, 6, 4), "0.2", "0.02", "1.25", JUNE, date(2026, 6, 4)),
    ("gpt-5.6-sol", date(2026, 7, 30), "5", "0.5", "30", SUMMER, date(2026, 8, 1)),
    ("gpt-5.6-terra", date(2026, 7, 30), "2", "0.2", "12", SUMMER, date(2026, 8, 1)),
    ("gpt-5.6-luna", date(2026, 7, 30), "0.2", "0.02", "1.2", SUMMER, date(2026, 8, 1)),
    ("gpt-6-astra", date(2026, 9, 3), "10", "1", "50", ASTRA, date(2026, 9, 7)),
    ("gpt-6-sol", date(2026, 9, 22), "2", "0.2", "10", AUTUMN, date(2026, 9, 22)),
    ("gpt-6-luna", date(2026, 9, 22), "0.1", "0.01", "0.5", AUTUMN, date(2026, 9, 22)),
)


def add(apps, schema_editor):
    """Once each."""
    rows = apps.get_model("responses_app", "ModelPrice").objects.using(schema_editor.connection.alias)
    for model, since, read, cached, written, source, read_on in PRICES:
        prices = {"input": Decimal(read), "cached": Decimal(cached), "output": Decimal(written)}
        rows.get_or_create(model=model, effective_from=since, defaults={**prices, "source": source, "read_on": read_on})


def take_away(apps, schema_editor):
    """Only what is as it was added."""
    rows = apps.get_model("responses_app", "ModelPrice").objects.using(schema_editor.connection.alias)
    for model, since, read, cached, written, source, _ in PRICES:
        prices = {"input": Decimal(read), "cached": Decimal(cached), "output": Decimal(written)}
        rows.filter(model=model, effective_from=since, source=source, **prices).delete()


class Migration(migrations.Migration):
    dependencies = [("responses_app", "0016_usage")]

    operations = [migrations.RunPython(add, take_away)]
