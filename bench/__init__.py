"""How fast the gateway is, beside the same load sent straight to its upstream: `python -m bench`, at the repository's root."""
