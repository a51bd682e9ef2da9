"""Every fault of the network that we know of, provoked on a real socket."""
