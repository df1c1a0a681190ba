"""Results outside Python: tables and figures in folders."""
