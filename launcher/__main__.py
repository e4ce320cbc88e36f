"""`python -m launcher` is `samovar`."""

from launcher.cli.main import main

if __name__ == "__main__":
    main()
