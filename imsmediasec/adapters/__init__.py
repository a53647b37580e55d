"""Wiring for other people's software. Thin: no policy, no parsing."""
