"""Damaged files and absurd arguments, by the thousand: ``python -m tests.fuzz``."""
