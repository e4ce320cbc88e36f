"""The format of published content: what a manifest, a path, a signature and a chunk must be. One set of rules for the publisher
that writes them, Download that checks them, and the launcher that checks them again (contract section 3).
"""
