"""A headless Chromium, driven by its DevTools protocol, for tests of pages."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from attrs import define, field

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "there is no Chromium: apt-get install chromium, or put `chromium` on the PATH"
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


@define
class Page:
    """One tab. It notes every request, and every message of the console."""

    socket: aiohttp.ClientWebSocketResponse
    requests: list[str] = field(factory=list)
    complaints: list[str] = field(factory=list)
    """Errors, warnings and violations of the content security policy."""
    _last: int = 0

    async def call(self, method: str, **values: Any) -> Any:
        """Call a method of the protocol, and return its result."""
        self._last += 1
        await self.socket.send_json({"id": self._last, "method": method, "params": values})
        while True:
            message = await self.socket.receive_json()
            if message.get("id") == self._last:
                assert "error" not in message, message
                return message["result"]
            self._note(message.get("method"), message.get("params", {}))

    async def load(self, path: Path, *, wide: int = 1200, high: int = 900) -> None:
        """Load a file, in a window of that size, and wait until it is complete."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.resize(wide, high)
        await self.call("Page.navigate", url=path.as_uri())
        await self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def resize(self, wide: int, high: int = 900) -> None:
        """Give the window another size."""
        size = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)

    async def run(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        given = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        found = await self.call("Runtime.evaluate", **given)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def wait_for(self, expression: str) -> None:
        """Wait until an expression is true; the test's own timeout ends it otherwise."""
        while not await self.run(expression):  # noqa: ASYNC110 - a browser sets no event
            await asyncio.sleep(0.02)

    async def type_into(self, selector: str, text: str) -> None:
        """Type into a field as a person does."""
        await self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.call("Input.insertText", text=text)

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(params["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"]["text"])


@asynccontextmanager
async def open_page(folder: Path) -> AsyncIterator[Page]:
    """Start a Chromium with a profile of its own in a folder, and open a tab."""
    assert PROGRAM is not None, MISSING
    profile = folder / "chromium"
    environment = {**os.environ, "HOME": str(folder)}
    command = (PROGRAM, *_OPTIONS, f"--user-data-dir={profile}", "about:blank")
    silent = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, stdout=silent, stderr=silent, env=environment
    )
    try:
        port = profile / "DevToolsActivePort"
        while not port.exists() or "\n" not in port.read_text():
            assert process.returncode is None, "Chromium has ended at once"
            await asyncio.sleep(0.05)
        origin = f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
        async with aiohttp.ClientSession() as session:
            async with session.put(f"{origin}/json/new?about:blank") as answer:
                target = await answer.json()
            address = target["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
