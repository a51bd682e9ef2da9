"""OAuth 2.0 login that renews itself, with refresh tokens that are valid once."""
