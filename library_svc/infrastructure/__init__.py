"""The adapters of application/ports.py, each file named by its technology."""
