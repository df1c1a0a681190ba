"""What a sweep's jobs run on: processes of this machine, or a Dask cluster."""
