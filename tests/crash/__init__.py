"""The crash checker: a bulk job is killed again and again, and must not lose, double or lie."""
