"""Command line: `python -m scripts.serving`, which can be stopped from its first moment."""

from scripts import stopping

if __name__ == "__main__":
    stopping.install()
    from scripts.serving.command import main

    main()
