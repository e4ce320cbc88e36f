"""Tasks beside a program's main one, and bounds on what runs at once."""
