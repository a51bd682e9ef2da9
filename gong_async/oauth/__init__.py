"""A login at Gong that renews itself: OAuth 2.0 with refresh tokens that can be used once."""
