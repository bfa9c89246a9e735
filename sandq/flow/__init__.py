"""The flow: where the Redis half and the child half meet.

claim -> lend -> run -> outcome -> verdict -> settle, once per job, in this direction only.
"""
