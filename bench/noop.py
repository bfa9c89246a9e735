"""The job of bench/isolation.py: it is read, as every job must be, and answered."""

import json
import sys

for line in sys.stdin:
    job = json.loads(line)
    print(json.dumps(job["data"]), flush=True)
