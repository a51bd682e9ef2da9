"""`gong-async fake`: the fake Gong, a local test server."""

from __future__ import annotations

import asyncio

import click

from gong_async.cli.diagnostics import EPILOG, Diagnostics
from gong_async.cli.interrupts import interrupts
from gong_async.testing import (
    ALGORITHMS,
    FAULT_NAMES,
    AlgorithmName,
    FakeGong,
    FaultRule,
    parse_fault,
)


def _rate(_: click.Context, __: click.Parameter, text: str) -> float | None:
    if text == "none":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise click.BadParameter(f"{text!r} is neither a number above 0 nor 'none'")
    return rate


def _rules(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[FaultRule]:
    try:
        return [parse_fault(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(epilog=EPILOG)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    help="Port to listen on; 0 picks a free one.",
)
@click.option("--per-second", callback=_rate, default="3", show_default=True, metavar="N|none")
@click.option("--per-day", callback=_rate, default="10000", show_default=True, metavar="N|none")
@click.option(
    "--algorithm",
    type=click.Choice(ALGORITHMS),
    default="sliding_window",
    show_default=True,
    help="How the limit per second is counted.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    callback=_rules,
    metavar="NAME[=ARG][@N|@N%]",
    help="Inject a fault: always, at the N-th request, or in N% of requests. Names: "
    + ", ".join(FAULT_NAMES),
)
@click.pass_obj
def fake(
    diagnostics: Diagnostics,
    /,
    *,
    port: int,
    per_second: float | None,
    per_day: float | None,
    algorithm: AlgorithmName,
    faults: list[FaultRule],
) -> None:
    """Run a fake Gong server on this machine until Ctrl-C.

    It validates, responds and throttles as Gong does, and injects faults on demand. Requests never
    leave this machine.
    """
    server = FakeGong(
        port=port,
        per_second=per_second,
        per_day=None if per_day is None else int(per_day),
        algorithm=algorithm,
        faults=faults,
        record="counts",
    )
    asyncio.run(_serve(server, diagnostics))


async def _serve(server: FakeGong, diagnostics: Diagnostics) -> None:
    stop = asyncio.Event()
    with interrupts(stop.set):
        async with server:
            click.echo(_welcome(server))
            await stop.wait()
    answers = ", ".join(
        f"{count:,} with {status or 'no response'}"
        for status, count in sorted(server.counts.items())
    )
    diagnostics.note(
        "fake",
        f"{server.received_count:,} requests{f' ({answers})' if answers else ''}, "
        f"{server.applied_count:,} changes applied",
        received=server.received_count,
        applied=server.applied_count,
    )


def _welcome(server: FakeGong) -> str:
    """Return its address and credentials, which are valid nowhere else."""
    quota = server.quota
    limits = (
        f"{'unlimited' if quota.per_second is None else f'{quota.per_second:g}'} calls per second"
        f", {'unlimited' if quota.per_day is None else f'{quota.per_day:,}'} per day"
    )
    return "\n".join(
        [
            f"Fake Gong listening at {server.url} ({limits}, {quota.algorithm}).",
            "Point a client at it with these test credentials:",
            f"  export GONG_BASE_URL={server.url}",
            f"  export GONG_ACCESS_KEY={server.access_key}",
            f"  export GONG_ACCESS_KEY_SECRET={server.access_key_secret}",
            "Ctrl-C stops it.",
        ]
    )
