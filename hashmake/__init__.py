"""hashmake: GNU make that decides by content."""

__version__ = "0.1.0"
