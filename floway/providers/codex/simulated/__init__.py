"""A simulation of the upstream, for the demo and the tests: no model is asked, and every answer says so."""
