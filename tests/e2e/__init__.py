"""Black-box scenarios: sources, an edit, a build; what ran and what is there afterwards."""
