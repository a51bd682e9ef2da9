"""Draws the adaptive rate over time, also when half the quota goes away."""

from __future__ import annotations

import asyncio
import math
import random
from pathlib import Path

import matplotlib as mpl
from attrs import frozen
from rivals import Server, paced_by
from virtual_time import VirtualLoop

from gong_async import Limits
from gong_async.limits.memory import MemoryLimitStore
from gong_async.testing.algorithms import AlgorithmName, make_algorithm

mpl.use("svg")
from matplotlib import pyplot as plt

RATE = 3


@frozen
class Scene:
    """One panel: how the server counts, and what it allows from when on."""

    title: str
    algorithm: AlgorithmName
    jitter: float
    allowed: tuple[tuple[float, float], ...] = ((0.0, RATE),)
    seconds: float = 420.0


SCENES = (
    Scene("Sliding window, 200 ms jitter", "sliding_window", 0.2),
    Scene("GCRA without burst, 20 ms jitter", "gcra", 0.02),
    Scene(
        "Sliding window, 20 ms jitter: half the quota goes away at 120 s and returns at 270 s",
        "sliding_window",
        0.02,
        ((0.0, RATE), (120.0, RATE / 2), (270.0, RATE)),
    ),
)


def draw(file: Path, seed: int) -> None:
    """Draw all scenes into one SVG file, the same from run to run."""
    mpl.rcParams["svg.hashsalt"] = "pacing"
    figure, panels = plt.subplots(len(SCENES), 1, figsize=(8, 9), sharex=True)
    for scene, panel in zip(SCENES, panels, strict=True):
        times, paces, refused = _watch(scene, seed)
        panel.step(times, paces, where="post", label="pace")
        steps = [*scene.allowed, (scene.seconds, scene.allowed[-1][1])]
        panel.step(*zip(*steps, strict=True), where="post", linestyle="--", label="allowed")
        panel.plot(refused, [0.15] * len(refused), "r|", markersize=10, label="refusal")
        panel.set(title=scene.title, ylabel="calls a second", ylim=(0, 3.3))
        panel.legend(loc="lower right")
    panels[-1].set_xlabel("seconds")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def _watch(scene: Scene, seed: int) -> tuple[list[float], list[float], list[float]]:
    """Play a scene; return the learned over time, and when calls were refused."""
    random.seed(seed)
    algorithm = make_algorithm(scene.algorithm, RATE)
    server = Server(algorithm, scene.jitter, random.Random(seed))
    limiter = MemoryLimitStore().limiter(
        "A", Limits(per_second=RATE, per_day=None, max_in_flight=16)
    )
    times: list[float] = []
    paces: list[float] = []

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        for at, rate in scene.allowed:
            loop.call_at(at, setattr, algorithm, "rate", rate)
        calling = asyncio.create_task(paced_by(limiter, server, 16))
        while loop.time() < scene.seconds:
            learned = limiter.company.state.rate
            times.append(loop.time())
            paces.append(learned.per_second if learned else math.nan)
            await asyncio.sleep(0.1)
        calling.cancel()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(watch())
    return times, paces, server.refused
