"""The reference client of the platform: the command line `samovar` that signs in, shows the library and installs games."""
