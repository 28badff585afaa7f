"""Verify: run recorded steps again where the tree can't be harmed, and compare what they make."""
