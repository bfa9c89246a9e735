"""The zoo: hostile children for a supervisor under test, and what it must make of them.

What is expected stands in one table, event x state -> outcome (spec/protocol-events.json). Each
case (cases/*.toml, read by `catalogue`) has a program and names the rows of the table that it
tries. `trial` plays a case to a supervisor (`candidate`) and judges it from `outside`.
"""
