"""Trials and the tasks that make them."""
