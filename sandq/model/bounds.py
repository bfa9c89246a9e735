"""How much is kept of what a job says while it runs: it may say as much as it likes."""

#: Log rows that are surely kept with a job: its first ones, and its newest. Of the newest twice as
#: many may be there; what was said between is counted (seed 3).
LOG_ROWS_FIRST, LOG_ROWS_NEWEST = 100, 900
LOG_ROWS_KEPT = LOG_ROWS_FIRST + LOG_ROWS_NEWEST

#: Parts of its result that an attempt may emit, and their bytes in all. More are dropped.
EMITTED_KEPT = 1_000
EMITTED_BYTES = 1024 * 1024

#: Bytes of one job's log rows that wait for Redis at most: of the first ones, and of the newest.
FIRST_BYTES_WAITING = 128 * 1024
NEWEST_BYTES_WAITING = 256 * 1024
