"""Isolation: how what a sandbox guarantees is given on this host.

facts of the host -> plan (a mechanism for each guarantee, or the gap and its mend) -> confinement
of one handler (what the spawner does between fork and exec). All but `probe` is pure.
"""
