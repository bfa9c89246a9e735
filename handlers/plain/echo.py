#!/usr/bin/env python3
"""Python, without the package sandq. data -> data; {"fail": message} -> an error"""

import json
import sys

for line in sys.stdin.buffer:
    data = json.loads(line)["data"]
    if isinstance(data, dict) and "fail" in data:
        answer = {"status": "error", "error": {"type": "Asked", "message": data["fail"]}}
    else:
        answer = {"status": "ok", "result": data}
    print(json.dumps(answer), flush=True)
