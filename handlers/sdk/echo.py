"""The echo contract (spec/conformance.md) with the SDK for Python: what it can do, each once."""

import threading

from sandq.handler import Job, RetryLater, Unrecoverable, serve


def echo(job: Job):
    data = job.data if isinstance(job.data, dict) else {}
    if "fail" in data:
        raise ValueError(data["fail"])

    match data.get("sandq_test"):
        case "progress":
            job.progress(0.5)
        case "log":
            job.log("half way", part=1)
        case "emit":
            job.emit({"part": 1})
        case "heartbeat":
            job.heartbeat()
        case "wait_for_cancel":
            while not job.cancelled:
                threading.Event().wait(0.01)
        case "call":
            return job.call(data["verb"], **data["args"])
        case "retry_later":
            raise RetryLater(data["retry_after_ms"] / 1000)
        case "unrecoverable":
            raise Unrecoverable("as asked")

    return job.data


serve(echo, cancellable=True)
