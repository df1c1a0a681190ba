"""The store of a sweep: a folder of finished jobs, shared by many runners."""
