"""The null check: everything is as the last complete build left it, or it is not."""
