"""Web backends that are shut down under load, with a bulk job running in the background."""
