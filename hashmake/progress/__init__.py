"""What a build shows to who watches it."""
