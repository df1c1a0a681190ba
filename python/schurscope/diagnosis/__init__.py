"""What a network needs, and why: one question a file, and all of them in `diagnose`."""
