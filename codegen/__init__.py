"""The generator: from the contract in proto/ to everything in gen/. Run by `./taskw gen`; nothing imports it at run time."""
