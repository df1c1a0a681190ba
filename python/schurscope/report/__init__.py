"""What a result looks like outside Python: folders of tables and figures."""
