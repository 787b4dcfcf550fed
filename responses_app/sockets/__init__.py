"""The Responses API over a WebSocket: the same turns, one after the other, on a connection that remembers."""
