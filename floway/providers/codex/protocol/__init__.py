"""The Codex backend's dialect as pure functions: values in, values out; the clock and the entropy are arguments."""
