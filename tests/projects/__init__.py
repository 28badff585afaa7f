"""Projects that no one here wrote, from Debian's source packages."""
