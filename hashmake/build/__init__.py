"""The conductor: what a build does, stage by stage."""
