"""Limits of a company's API calls: calls in flight, calls per second, calls per day.

`Limiter.acquire()` grants a `Permit`, the right to send one request now; a `LimitStore` keeps the
state. Start reading at `limiter.py`, then `queue.py` and `memory.py`, the simplest store; the rules
are in `state.py`. `sqlite/` and `redis/` share the limits between processes.
"""
