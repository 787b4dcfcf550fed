"""The raw SQL of this app: what every turn asks and writes. Why it is raw stands in `docs/decisions/0011-raw-statements.md`.

What is written belongs into the caller's open transaction.
"""
