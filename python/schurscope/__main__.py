"""``python -m schurscope`` is the command ``schurscope``."""

from .cli import main

if __name__ == "__main__":
    main()
