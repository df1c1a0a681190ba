"""Executors of a sweep's jobs: processes on this machine, or a Dask cluster."""
