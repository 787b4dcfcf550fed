"""A Django database backend: SQLite as several cooperative workers need it."""
