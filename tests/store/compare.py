"""What was found on a server, in the words of the model, and how the two are compared."""

import json


def stored(found):
    """What was found of sets and indexes, in the words of the model."""
    apart = {"meta", "wake", "events", "limiter"}
    content = {}
    for name, value in found.items():
        family, _, rest = name.partition(":")
        if name in apart or (rest and family in {"job", "metrics", "limiter", "repeat"}):
            continue
        if family == "dedup":
            value = value[0]
        elif family == "failures":
            value = [as_modelled(json.loads(text)) for text in value]
        elif family == "logs":
            value = len(value)
        elif family in ("groups", "kinds", "totals"):
            value = {key: int(number) for key, number in value.items()}
        content[name] = value

    return content


def counted(found):
    meta = found.get("meta", {})
    return {
        "seq": int(meta.get("seq", 0)),
        "ids": int(meta.get("ids", 0)),
        "version": int(meta.get("version", 0)),
        "paused": "paused" in meta,
        "completed": sum(map(int, found.get("metrics:completed", {}).values())),
        "failed": sum(map(int, found.get("metrics:failed", {}).values())),
        **{
            name: (int(value["anchor"]), int(value["made"]))
            for name, value in found.items()
            if name.startswith("repeat:")
        },
    }


def as_modelled(failure):
    """A failure record; what the scripts say of it in their own words is left out."""
    told = failure is None or failure["kind"] in ("error", "cancelled")
    return failure if told else {"kind": failure["kind"]}


def same(found, expected):
    assert found == expected, f"{found!r}, but the model says {expected!r}"


def alike(what, found, expected):
    """`same` for dicts: says where they differ."""
    if found != expected:
        names = [n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n)]
        differ = {name: (found.get(name), expected.get(name)) for name in names}
        raise AssertionError(f"{what}, and in the model: {differ}")
