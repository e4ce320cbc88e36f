"""Makes a PostgreSQL cluster and becomes its server: for a test that starts one where it cannot reach, on a small disk. Arguments:
the folder, the port.
"""

import os
import sys
from pathlib import Path

from sandbox.devstack import embedded
from tests.conftest import POSTGRES_SETTINGS

if __name__ == "__main__":
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    embedded.prepare_postgres(folder)
    command = embedded.postgres_command(folder, port, options=POSTGRES_SETTINGS)
    # This process becomes the server, so it is our parent that the server dies with.
    words = [f"--parent={os.getppid()}" if word.startswith("--parent=") else word for word in command.argv]
    os.execvpe(words[0], words, {**os.environ, **command.environment})
