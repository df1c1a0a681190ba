"""Trials, and the tasks that draw them."""
