"""The rules: tables and pure functions, no I/O."""
