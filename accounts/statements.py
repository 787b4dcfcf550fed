"""The raw SQL of this app: what every turn asks. Why it is raw stands in `docs/decisions/0011-raw-statements.md`."""

from __future__ import annotations

from functools import cache
from typing import Any

from accounts.models import (
    ApiKey,
    ApiKeySecret,
    CredentialFacts,
    CredentialProxy,
    CredentialTokens,
    OAuthCredential,
    Pool,
)
from floway import sql

_DEAD = (OAuthCredential.State.NEEDS_SIGN_IN.value, OAuthCredential.State.DISABLED.value)


def mark() -> str | None:
    """What changes with every row that tells who may call and with what; None where none ever changed."""
    rows = sql.fetch('SELECT mark FROM "accounts_editionmark" WHERE id = 1', [])
    return rows[0][0] if rows else None


@cache
def _secret() -> str:
    secret, key = sql.shape(ApiKeySecret), sql.shape(ApiKey)
    return (
        f"SELECT {secret.columns('s')}, {key.columns('k')}"
        f" FROM {secret.table} s JOIN {key.table} k ON k.id = s.key_id WHERE s.digest = %s"
    )


def secret(digest: bytes) -> ApiKeySecret | None:
    """The secret of this digest, its key joined."""
    rows = sql.fetch(_secret(), [digest])
    if not rows:
        return None
    secrets = sql.shape(ApiKeySecret)
    found = secrets.instance(rows[0])
    sql.relate(found, key=sql.shape(ApiKey).instance(rows[0], secrets.width))
    return found


@cache
def _login() -> sql.Shape[OAuthCredential]:
    """A login less what no turn needs of it; so is what is joined to it."""
    return sql.shape(OAuthCredential, without=("document_rest",))


@cache
def _joined() -> tuple[tuple[str, sql.Shape[Any]], ...]:
    return (
        ("tokens", sql.shape(CredentialTokens, without=("id_token",))),
        ("proxy", sql.shape(CredentialProxy)),
        ("facts", sql.shape(CredentialFacts)),
    )


@cache
def _credentials() -> str:
    credential, pool, joined = _login(), sql.shape(Pool), _joined()
    columns = [credential.columns("credential"), *(shape.columns(name) for name, shape in joined), pool.columns("pool")]
    joins = [f"LEFT JOIN {shape.table} {name} ON {name}.credential_id = credential.id" for name, shape in joined]
    return (
        f"SELECT {', '.join(columns)} FROM {credential.table} credential {' '.join(joins)}"
        f" LEFT JOIN {pool.table} pool ON pool.provider = credential.provider"
        f" WHERE credential.provider = %s AND credential.state NOT IN {sql.places(len(_DEAD))}"
        " ORDER BY credential.rank, credential.id"
    )


def credentials(provider: str) -> tuple[list[OAuthCredential], Pool]:
    """The provider's whose login stands, in order, and their pool; tokens, proxies and facts are joined."""
    pool: Pool | None = None
    found = []
    for row in sql.fetch(_credentials(), [provider, *_DEAD]):
        credential = _login().instance(row)
        start = _login().width
        for name, shape in _joined():
            credential._state.fields_cache[name] = shape.joined(row, start)
            start += shape.width
        pool = pool or sql.shape(Pool).joined(row, start)
        found.append(credential)
    return found, pool or sql.shape(Pool).new(provider=provider)


@cache
def _chosen() -> str:
    return f'SELECT oauthcredential_id FROM "{ApiKey.credentials.through._meta.db_table}" WHERE apikey_id = %s'


def chosen(api_key_id: int) -> frozenset[int]:
    """The logins that the key is limited to; none where it may call with any."""
    return frozenset(pk for (pk,) in sql.fetch(_chosen(), [api_key_id]))


@cache
def _drawn() -> str:
    return f"UPDATE {sql.shape(Pool).table} SET cursor = cursor + 1 WHERE id = %s RETURNING cursor - 1"


def drawn(pool: Pool) -> int:
    """The next number of the pool's count; no two draws have the same."""
    return int(sql.fetch(_drawn(), [pool.pk])[0][0])
