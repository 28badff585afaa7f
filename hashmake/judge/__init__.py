"""Decisions: what a clean build would have now, and whether a step is current. Nothing here looks at the world."""
