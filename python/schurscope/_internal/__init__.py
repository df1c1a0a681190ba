"""Code shared by all folders and not public: checks, files, JSON, random generators."""
