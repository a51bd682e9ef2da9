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
