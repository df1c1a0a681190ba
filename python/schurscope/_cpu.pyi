LEVELS: tuple[str, ...]
RUNNABLE_LEVELS: tuple[str, ...]
