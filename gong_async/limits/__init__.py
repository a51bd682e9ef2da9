"""When a request may go out: calls in flight, calls a second, calls a day."""
