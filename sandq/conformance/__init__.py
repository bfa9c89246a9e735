"""The conformance kits: is a handler, or a supervisor, right about the protocol? No Redis.

The way of a check: cases (spec/cases, read by `cases`) -> `running` speaks them to a `program`,
in values of `values`, and reads its lines with `hearing` -> a result -> `report`.
"""
