"""A fake Gong for your own tests: a real local server with faults on demand.

```python
from gong_async.testing import FakeGong, Fault

async with FakeGong() as fake:
    fake.script(Fault.drop_after(), on="updateMeeting")
    ...  # point a client at fake.url
    print(fake.received, fake.applied)
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gong_async.testing.algorithms import ALGORITHMS, AlgorithmName
    from gong_async.testing.faults import Fault
    from gong_async.testing.operations import OPERATIONS, Operation
    from gong_async.testing.quotas import FakeQuota
    from gong_async.testing.recording import Applied, ReceivedRequest
    from gong_async.testing.script import FAULT_NAMES, FaultRule, parse_fault
    from gong_async.testing.server import FakeGong

__all__ = [
    "ALGORITHMS",
    "FAULT_NAMES",
    "OPERATIONS",
    "AlgorithmName",
    "Applied",
    "FakeGong",
    "FakeQuota",
    "Fault",
    "FaultRule",
    "Operation",
    "ReceivedRequest",
    "parse_fault",
]

_HOMES = {
    "ALGORITHMS": "algorithms",
    "AlgorithmName": "algorithms",
    "Applied": "recording",
    "FAULT_NAMES": "script",
    "FakeGong": "server",
    "Fault": "faults",
    "FaultRule": "script",
    "OPERATIONS": "operations",
    "Operation": "operations",
    "FakeQuota": "quotas",
    "ReceivedRequest": "recording",
    "parse_fault": "script",
}


# The pytest plugin lives in this package and is loaded into every test run of everybody who has
# gong_async installed; the server must not be imported there before it is used.
def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
