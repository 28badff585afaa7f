"""Files: read, hashed, put back."""
