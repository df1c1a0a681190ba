"""Code that every folder may use and no user should: checks, files, JSON, random streams."""
