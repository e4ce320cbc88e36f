"""Transcoders of content/v1/manifest.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from gateway.transcoding import EnumTexts

ENTRY_TYPE_NUMBERS: dict[str, int] = {"file": 1, "symlink": 2, "directory": 3}

PLATFORM_TEXTS = EnumTexts({0: None, 1: "windows", 2: "linux", 3: "macos"})
PLATFORM_NUMBERS: dict[str, int] = {"windows": 1, "linux": 2, "macos": 3}
