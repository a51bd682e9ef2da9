"""The models of requests and results."""
