"""Binary patches between versions: built in the background, offered where they save, chosen by the plans."""
