"""The raw SQL of this app: what every turn asks. Why it is raw stands in `docs/decisions/0011-raw-statements.md`."""

from __future__ import annotations

from functools import cache

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
    rows = sql.fetch_first('SELECT mark FROM "accounts_editionmark" WHERE id = 1', [])
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


_JOINED = (("tokens", CredentialTokens), ("proxy", CredentialProxy), ("facts", CredentialFacts))


@cache
def _credentials() -> str:
    credential, pool, chosen = sql.shape(OAuthCredential), sql.shape(Pool), ApiKey.credentials.through._meta.db_table
    columns = [
        credential.columns("credential"),
        *(sql.shape(model).columns(name) for name, model in _JOINED),
        pool.columns("pool"),
    ]
    joins = [f"LEFT JOIN {sql.shape(model).table} {name} ON {name}.credential_id = credential.id" for name, model in _JOINED]
    return (
        f"SELECT {', '.join(columns)} FROM {credential.table} credential {' '.join(joins)}"
        f" LEFT JOIN {pool.table} pool ON pool.provider = credential.provider"
        f" WHERE credential.provider = %s AND credential.state NOT IN {sql.places(len(_DEAD))}"
        f' AND (NOT EXISTS (SELECT 1 FROM "{chosen}" WHERE apikey_id = %s)'
        f' OR EXISTS (SELECT 1 FROM "{chosen}" WHERE apikey_id = %s AND oauthcredential_id = credential.id))'
        " ORDER BY credential.rank, credential.id"
    )


def credentials(key: ApiKey) -> tuple[list[OAuthCredential], Pool]:
    """Those whose login stands and that `key` may call with, in order, and their pool; tokens, proxies and facts are joined."""
    pool: Pool | None = None
    found = []
    for row in sql.fetch(_credentials(), [key.provider, *_DEAD, key.pk, key.pk]):
        shape = sql.shape(OAuthCredential)
        credential = shape.instance(row)
        start = shape.width
        for name, model in _JOINED:
            joined = sql.shape(model).joined(row, start)
            start += sql.shape(model).width
            credential._state.fields_cache[name] = joined
        pool = pool or sql.shape(Pool).joined(row, start)
        found.append(credential)
    return found, pool or sql.shape(Pool).new(provider=key.provider)


@cache
def _drawn() -> str:
    return f"UPDATE {sql.shape(Pool).table} SET cursor = cursor + 1 WHERE id = %s RETURNING cursor - 1"


def drawn(pool: Pool) -> int:
    """The next number of the pool's count; no two draws have the same."""
    return int(sql.fetch(_drawn(), [pool.pk])[0][0])
