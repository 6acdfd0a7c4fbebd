"""Stops the embedded server once nobody uses it, however its users ended. Started by whoever starts the server.

Run as a script, with nothing but the standard library, so that it costs a few megabytes:

    python embedded_keeper.py USERS_LOCK UID GID COMMAND…

Every user of the server holds a shared lock on USERS_LOCK. This waits for the exclusive one, which is given when
the last of them has ended, by its own will or by kill -9, and then runs COMMAND (as UID and GID, -1 for our own).
"""

import fcntl
import os
import subprocess
import sys
from pathlib import Path


def main(users_lock: str, uid: int, gid: int, command: list[str]) -> None:
    """Wait in the background; return at once in the foreground."""
    if os.fork():
        return
    os.setsid()  # Ctrl-C in the terminal is meant for the users, not for us
    with Path(users_lock).open("a") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        as_user = {} if uid == -1 else {"user": uid, "group": gid, "extra_groups": []}
        # It fails when the last user has stopped the server itself: there is nothing to do then.
        subprocess.run(command, check=False, cwd="/", **as_user)  # type: ignore[call-overload]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
