"""Decisions: pure functions from what was observed, the configuration and the time to what is to be done."""
