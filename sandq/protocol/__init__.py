"""The conversation between supervisor and child, version 1 (spec/protocol.md): no I/O here."""
