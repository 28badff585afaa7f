"""What may go wrong from outside, each with its outcome: docs/reliability.md has a row for every test here."""
