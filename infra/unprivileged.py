"""Runs a program that refuses to run as root when root starts it: under another user.

Two ways, in this order. Neither needs the data directory to be reachable for other users, so a
clone in a folder that only root may enter works as well.

1. A user namespace in which root is called 1000. The program sees an ordinary user; the files stay
   root's. Nothing changes hands, but a container may forbid namespaces, and in a namespace root is
   bound by file permissions: it cannot enter another user's private folder.
2. A system account that owns the data directory, keeping one capability of root's: to read what
   permissions forbid (DAC_READ_SEARCH; where a container withholds that, DAC_OVERRIDE), because the
   program, Python and the way to the data may all lie in a private folder. The kernel's access(),
   by which initdb looks for its server, respects the capability only if the change of the user
   keeps capabilities (NO_SETUID_FIXUP).
"""

import os
import pwd
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.errors import RootRefusedError, ServerFailedError
from infra.process import run_tool

NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
ACCOUNTS = ("postgres", "nobody")
CAPABILITIES = ("dac_read_search", "dac_override")
KEEP_CAPABILITIES = "--securebits=+no_setuid_fixup"
# By access(), as initdb does; `test -x` of a shell may look in another way.
_PROBE = """
import os, sys
program, folder = sys.argv[1:]
probe = os.path.join(folder, "probe")
open(probe, "w").close()
os.remove(probe)
sys.exit(not os.access(program, os.X_OK))
"""


def prefix_for(program: Path, folder: Path) -> tuple[str, ...]:
    """Command words to put before `program` so that it can run and write to `folder`.

    Changes the owner of `folder` to a system account where the second way is needed; the folder
    keeps that owner. Raises RootRefusedError.
    """
    if os.geteuid() != 0:
        return ()
    owned_by_root = folder.stat().st_uid == 0
    if owned_by_root and _works(NAMESPACE, program, folder):
        return NAMESPACE
    account = _account(folder)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    for capability in CAPABILITIES:
        # A container may withhold the right to set the bits; public folders do without.
        for bits in ((KEEP_CAPABILITIES,), ()):
            prefix = _as_account(account, capability, bits)
            if _works(prefix, program, folder):
                return prefix
    raise RootRefusedError(
        "PostgreSQL refuses to run as root, and neither a user namespace nor another account could "
        f"be used for {folder}. Start the exchange as an ordinary user, or name a server of your "
        "own with EXCHANGE_DATABASE_URL."
    )


def _account(folder: Path) -> pwd.struct_passwd:
    """The owner of the folder if it is not root, else a system account."""
    owner = folder.stat().st_uid
    if owner != 0:
        try:
            return pwd.getpwuid(owner)
        except KeyError:
            # A folder of a user whom this system does not know; take it over.
            pass
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RootRefusedError(f"no account to run PostgreSQL with: none of {', '.join(ACCOUNTS)}")


def _as_account(
    account: pwd.struct_passwd, capability: str, bits: tuple[str, ...]
) -> tuple[str, ...]:
    return (
        "setpriv",
        *bits,
        f"--reuid={account.pw_uid}",
        f"--regid={account.pw_gid}",
        "--clear-groups",
        # In the ambient set the capability survives the start of the next program.
        f"--inh-caps=-all,+{capability}",
        f"--ambient-caps=-all,+{capability}",
        "--",
    )


def _works(prefix: Sequence[str], program: Path, folder: Path) -> bool:
    command = [sys.executable, "-c", _PROBE, str(program), str(folder)]
    try:
        run_tool(command, prefix=prefix)
    except (ServerFailedError, OSError):
        return False
    return True
