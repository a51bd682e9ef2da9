"""The ways in which an operation is interrupted."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import anyio

from cancellations.cases import Way
from cancellations.steps import StepLoop
from cancellations.subjects import Scene, work
from gong_async import GongClient
from gong_async.errors import GongError


class Failure(Exception):  # noqa: N818 - a task that fails, whatever the reason
    """Raised by the other task of a group."""


async def cancel(scene: Scene, client: GongClient, loop: StepLoop) -> None:
    """Cancel the task once."""
    task = loop.create_task(work(scene, client))
    accepted: list[bool] = []
    loop.arm(scene.case.at, lambda: accepted.append(task.cancel()))
    await asyncio.wait([task])
    loop.disarm()
    if not task.cancelled() and any(accepted):
        scene.problems.append(f"did not raise CancelledError, but {task.exception()!r}")


async def insist(scene: Scene, client: GongClient, loop: StepLoop) -> None:
    """Cancel the task again at every step, until it has ended."""
    task = loop.create_task(work(scene, client))

    def again() -> None:
        if not task.done():
            task.cancel()
            loop.call_soon(again)

    loop.arm(scene.case.at, again)
    await asyncio.wait([task])
    loop.disarm()
    if not task.cancelled() and (error := task.exception()):
        scene.problems.append(f"raised {error!r} when it was cancelled")


async def level(scene: Scene, client: GongClient, loop: StepLoop) -> None:
    """Cancel a scope of anyio, which cancels again at every await until the scope is left."""
    with anyio.CancelScope() as scope:
        loop.arm(scene.case.at, scope.cancel)
        await work(scene, client)
    loop.disarm()


async def group(scene: Scene, client: GongClient, loop: StepLoop) -> None:
    """Let another task of the group fail."""
    due = asyncio.Event()

    async def fail() -> None:
        await due.wait()
        raise Failure

    async def succeed() -> None:
        await work(scene, client)
        due.set()

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(succeed())
            tasks.create_task(fail())
            loop.arm(scene.case.at, due.set)
    except* Failure:
        pass
    loop.disarm()


async def timeout(scene: Scene, client: GongClient, loop: StepLoop) -> None:
    """Let a timeout expire."""
    limit, over = asyncio.timeout(None), asyncio.Event()

    def expire() -> None:
        if not over.is_set():
            limit.reschedule(loop.time())

    try:
        async with limit:
            loop.arm(scene.case.at, expire)
            await work(scene, client)
    except TimeoutError:
        return
    finally:
        over.set()
        loop.disarm()


async def abandon(scene: Scene, client: GongClient, loop: StepLoop) -> None:
    """Leave the loop over the outcomes, and never close the generator."""
    read = 0
    async for outcome in scene.begin(client):
        scene.note(outcome)
        if (read := read + 1) >= scene.case.at:
            break
    gc.collect()


async def leave(scene: Scene, client: GongClient, loop: StepLoop) -> None:
    """Read some outcomes, and keep the generator while the event loop ends."""
    read = 0
    scene.held = stream = scene.begin(client)
    async for outcome in stream:
        scene.note(outcome)
        if (read := read + 1) >= scene.case.at:
            break


async def end(scene: Scene, client: GongClient, loop: StepLoop) -> None:
    """Return from the main coroutine while the operation is under way."""
    due = asyncio.Event()
    task = loop.create_task(work(scene, client))
    task.add_done_callback(lambda _: due.set())
    loop.arm(scene.case.at, due.set)
    await due.wait()
    loop.disarm()
    scene.held = task


async def hurry(scene: Scene, client: GongClient, loop: StepLoop) -> None:
    """Close the client in another task, and cancel that task."""
    closing: list[asyncio.Task[None]] = []
    task = loop.create_task(work(scene, client))

    def begin() -> None:
        closing.append(loop.create_task(client.close()))
        loop.arm(scene.case.after, closing[0].cancel)

    loop.arm(scene.case.at, begin)
    await asyncio.wait([task])
    if closing:
        await asyncio.wait(closing)
    loop.disarm()
    _note_end(scene, task)


async def close(scene: Scene, client: GongClient, loop: StepLoop) -> None:
    """Close the client in another task."""
    closing: list[asyncio.Task[None]] = []
    task = loop.create_task(work(scene, client))
    loop.arm(scene.case.at, lambda: closing.append(loop.create_task(client.close())))
    await asyncio.wait([task])
    loop.disarm()
    if closing:
        await closing[0]
    error = _note_end(scene, task)
    if error is not None and scene.case.subject == "run" and scene.yielded:
        scene.problems.append(f"raised {error!r} instead of coming to an end")


def _note_end(scene: Scene, task: asyncio.Task[None]) -> BaseException | None:
    """Return what an operation raised when its client was closed."""
    if task.cancelled():
        scene.problems.append("raised CancelledError, and was not cancelled: its client was closed")
        return None
    error = task.exception()
    if error is not None and not isinstance(error, GongError):
        scene.problems.append(f"raised {error!r} when its client was closed")
    return error


WAYS: dict[Way, Callable[[Scene, GongClient, StepLoop], Awaitable[None]]] = {
    "cancel": cancel,
    "insist": insist,
    "level": level,
    "group": group,
    "timeout": timeout,
    "abandon": abandon,
    "collect": abandon,
    "leave": leave,
    "end": end,
    "close": close,
    "hurry": hurry,
}
