"""Command line: `python -m scripts.predict`, which can be stopped from its first moment."""

from scripts import stopping

if __name__ == "__main__":
    stopping.install()
    from scripts.predict.command import main

    main()
