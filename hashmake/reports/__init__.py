"""Reports: facts in, lines or JSON out."""
