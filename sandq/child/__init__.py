"""The child half: processes, their pipes, their limits and their deaths. It knows no Redis."""
