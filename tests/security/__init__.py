"""docs/security.md, line by line."""
