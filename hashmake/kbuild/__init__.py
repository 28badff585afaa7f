"""Kbuild: what hashmake knows of Linux and its relatives. The engine does not know the word."""
