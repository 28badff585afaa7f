"""The interposer alone: programs run under it with a run directory made by the tests."""
