"""`sandq doctor`: what this host can guarantee, what it cannot, and how that is mended."""

import argparse

from sandq import settings
from sandq.child.link import StartFailed
from sandq.child.proving import prove
from sandq.child.starting import Starter
from sandq.cli.common import json_option, print_json, run_async
from sandq.isolation import doctor
from sandq.isolation.cgroups import settle
from sandq.isolation.plan import Plan, plan
from sandq.isolation.probe import probe
from sandq.model.handler import Handler
from sandq.model.sandbox import MIB, Backend, Profile, Sandbox


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument(
        "--sandbox", action="store_true", help="look at sandboxes, which is all there is to look at"
    )
    parser.add_argument(
        "--profile",
        choices=[*map(str, Profile)],
        default="untrusted",
        help="of this profile (untrusted)",
    )
    parser.add_argument(
        "--backend", choices=[*map(str, Backend)], default="auto", help="with these walls (auto)"
    )
    json_option(parser)


def run(given: argparse.Namespace) -> int:
    """Tell of every guarantee; exit code 1 tells that one is missing, or does not hold."""
    facts = settle(probe(settings.uid_range()))
    planned = plan(_sandbox(given.profile, given.backend), facts)
    tried: doctor.Tried = None
    if planned.sandbox.walled and not planned.gaps:
        tried = run_async(_try, planned)
    if given.json:
        print_json(doctor.members(planned, tried))
    else:
        print("\n".join(doctor.lines(planned, tried)))

    return 0 if doctor.healthy(planned, tried) else 1


def _sandbox(profile: str, backend: str) -> Sandbox:
    if profile == Profile.NONE:
        return Sandbox(profile=Profile.NONE)
    if profile == Profile.LIMITS:
        # they are asked for, so that it is told how they are kept; the numbers do not matter
        return Sandbox(profile=Profile.LIMITS, cpu=10, memory=256 * MIB, pids=32)

    return Sandbox.untrusted(backend=Backend(backend))


async def _try(planned: Plan) -> doctor.Tried:
    starter = Starter(lambda: None)
    starter.start()
    try:
        return await prove(starter, planned, Handler(command=("sh",), sandbox=planned.sandbox))
    except StartFailed as error:
        return str(error)
    finally:
        starter.close()
