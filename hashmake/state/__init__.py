"""The state directory: who may use it, the database, the recording in it."""
