"""However a caller splits its identity over the surfaces, what goes out agrees with itself."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.providers.factories import OFFICIAL, make_body, make_provider, send
from tests.providers.test_identity import TURN_NOTE, A, B, C

ids = st.sampled_from([A, B, C, "", " ", "0190-x", None, 7])
columns = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("session_id", "thread_id", "turn_id", "root_turn_id", "x-codex-installation-id", "x-codex-window-id"), ids
    ),
)
metadata_objects = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("session_id", "thread_id", "turn_id", "window_id", "window_number", "installation_id", "root_turn_id", "other"), ids
    ),
)
header_columns = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("session-id", "session_id", "thread-id", "x-client-request-id", "x-codex-window-id"),
        st.sampled_from([A, B, C, "", f"{A}:2", "win-a"]),
    ),
)


@given(
    header_columns,
    columns,
    metadata_objects | st.none() | st.just([]),
    metadata_objects | st.none(),
    st.sampled_from(["http", "websocket"]),
    st.sampled_from([None, TURN_NOTE]),
    st.integers(0, 5),
    st.sampled_from(["0.169.0", "0.142.0"]),
    st.booleans(),
)
def test_any_split_of_identity_gives_consistent_surfaces(
    headers: dict[str, str],
    client: dict[str, Any],
    in_header: Any,
    in_body: Any,
    transport: str,
    continued: Any,
    generation: int,
    profile: str,
    official: bool,
) -> None:
    lines = [*headers.items(), *(OFFICIAL if official else ())]
    if in_header is not None:
        lines.append(("x-codex-turn-metadata", json.dumps(in_header)))
    if in_body is not None:
        client = {**client, "x-codex-turn-metadata": json.dumps(in_body)}
    sent = send(
        make_body(client_metadata=client), lines, transport=transport, continued=continued, generation=generation,
        provider=make_provider(profile),
    )  # fmt: skip
    assert sent.headers["session-id"] == sent.client_metadata["session_id"] == sent.metadata["session_id"]
    assert sent.headers["thread-id"] == sent.client_metadata["thread_id"] == sent.metadata["thread_id"]
    assert sent.headers["x-codex-window-id"] == sent.client_metadata["x-codex-window-id"] == sent.metadata["window_id"]
    assert sent.headers["x-codex-window-id"].rpartition(":")[0] == sent.headers["thread-id"]
    assert sent.metadata.get("window_number", int(sent.headers["x-codex-window-id"].rpartition(":")[2])) == int(
        sent.headers["x-codex-window-id"].rpartition(":")[2]
    )
    assert sent.headers["x-codex-turn-metadata"] == sent.client_metadata["x-codex-turn-metadata"]
    assert sent.client_metadata["turn_id"] == sent.metadata["turn_id"]
    assert sent.client_metadata["x-codex-installation-id"] == sent.metadata["installation_id"]
    roots = {surface["root_turn_id"] for surface in (sent.client_metadata, sent.metadata) if "root_turn_id" in surface}
    assert len(roots) <= 1
    if not headers.get("x-client-request-id"):
        assert sent.headers["x-client-request-id"] == sent.headers["thread-id"]
