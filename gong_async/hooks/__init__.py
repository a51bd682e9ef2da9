"""Events of a client's calls, and the hooks that receive them."""
