"""The store of a sweep: finished jobs in a folder that many runners share."""
