"""What steps left, kept by content."""
