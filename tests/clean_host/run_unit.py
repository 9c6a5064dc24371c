"""Start a systemd unit where systemd cannot run: ``python3 run_unit.py UNIT [INSTANCE]``.

With the standard library alone, as root, within a mount namespace of its own. Applies
LoadCredential, Environment, EnvironmentFile, User, Group, WorkingDirectory, StateDirectory,
UMask, LimitNOFILE, ReadWritePaths, ProtectSystem=strict, ProtectHome, PrivateTmp,
NoNewPrivileges, CapabilityBoundingSet=, SystemCallFilter with SystemCallErrorNumber, and
RestrictAddressFamilies (both by seccomp, with the groups that ``systemd-analyze
syscall-filter`` prints). Names what it does not apply.
"""

import ctypes
import errno
import os
import pwd
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

UNITS = (Path("/etc/systemd/system"), Path("/usr/lib/systemd/system"))
APPLIED = {
    *("ExecStart", "LoadCredential", "Environment", "EnvironmentFile", "User", "Group"),
    *("WorkingDirectory", "StateDirectory", "StateDirectoryMode", "UMask", "LimitNOFILE"),
    *("ReadWritePaths", "ProtectSystem", "ProtectHome", "PrivateTmp", "NoNewPrivileges"),
    *("CapabilityBoundingSet", "SystemCallFilter", "SystemCallErrorNumber", "Type"),
    "RestrictAddressFamilies",
}
TEMPORARY = ["/tmp", "/var/tmp"]  # noqa: S108 - those of the unit
CLONE_NEWNS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 0x00020000, 24, 38
AF_MAX = 46
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
"""Actions of libseccomp (seccomp.h)."""
EQUAL = 4
"""SCMP_CMP_EQ."""
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}

Unit = dict[str, list[str]]


def read_unit(name: str, instance: str) -> Unit:
    """Return the values of the section Service by directive, those of drop-ins included."""
    found: Unit = {}
    for folder in UNITS:
        for path in (folder / name, *sorted((folder / f"{name}.d").glob("*.conf"))):
            if path.exists():
                for key, value in service_lines(path.read_text()):
                    found.setdefault(key, []).append(expand(value, name, instance))
    if not found:
        sys.exit(f"no unit {name}")
    return found


def service_lines(text: str) -> list[tuple[str, str]]:
    """Return directives and values of the section Service."""
    lines, section = [], ""
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and re.match(r"\w+=", line):
            key, _, value = line.partition("=")
            lines.append((key, value))
    return lines


def expand(value: str, name: str, instance: str) -> str:
    """Replace the specifiers %i, %d and %% (systemd.unit(5))."""
    known = {"%i": instance, "%d": credentials_folder(name, instance), "%%": "%"}
    return re.sub("%.", lambda found: known[found[0]], value)


def credentials_folder(name: str, instance: str) -> str:
    """Return the folder of the credentials of a unit."""
    return f"/run/credentials/{name.replace('@', '@' + instance)}"


def load_credentials(unit: Unit, folder: Path, account: pwd.struct_passwd) -> None:
    """Copy the credentials to where only the user of the unit can read them."""
    folder.mkdir(parents=True, exist_ok=True)
    for line in unit.get("LoadCredential", ()):
        key, _, source = line.partition(":")
        target = folder / key
        target.unlink(missing_ok=True)
        target.touch(mode=0o400)
        target.write_bytes(Path(source).read_bytes())
        os.chown(target, account.pw_uid, account.pw_gid)
    folder.chmod(0o500)
    os.chown(folder, account.pw_uid, account.pw_gid)


def environment(unit: Unit, account: pwd.struct_passwd, credentials: Path) -> dict[str, str]:
    """Return the environment of the unit, and nothing of the caller's."""
    variables = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "HOME": account.pw_dir,
        "CREDENTIALS_DIRECTORY": str(credentials),
    }
    lines = [one for value in unit.get("Environment", ()) for one in shlex.split(value)]
    for value in unit.get("EnvironmentFile", ()):
        path = Path(value.removeprefix("-"))
        if path.exists() or not value.startswith("-"):
            lines += [one for one in path.read_text().splitlines() if re.match(r"\w+=", one)]
    return variables | dict(line.split("=", 1) for line in lines)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def protect_files(unit: Unit, writable: list[str]) -> None:
    """Make the file system read-only except for some folders, in a namespace of its own."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    mount("--make-rprivate", "/")
    if unit.get("PrivateTmp", ["no"])[-1] == "true":
        for folder in TEMPORARY:
            mount("-t", "tmpfs", "-o", "mode=1777", "none", folder)
        writable = [*writable, *TEMPORARY]
    if unit.get("ProtectHome", ["no"])[-1] == "true":
        for folder in ("/home", "/root"):
            mount("-t", "tmpfs", "-o", "mode=000,ro", "none", folder)
    if unit.get("ProtectSystem", [""])[-1] == "strict":
        for folder in writable:
            mount("--bind", folder, folder)
        mount("-o", "remount,bind,ro", "/")
        mount("-o", "remount,bind,ro", "/run")


def system_calls(values: list[str]) -> set[str]:
    """Return the allowed system calls of SystemCallFilter; ``~`` takes some away."""
    allowed: set[str] = set()
    for value in values:
        names = {one for word in value.lstrip("~").split() for one in members(word)}
        allowed = allowed - names if value.startswith("~") else allowed | names
    return allowed


def members(name: str) -> set[str]:
    """Return the system calls of a group such as @system-service."""
    if not name.startswith("@"):
        return {name}
    text = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True
    ).stdout
    words = [line.strip() for line in text.splitlines()[1:]]
    return {one for word in words if word and word[0] != "#" for one in members(word)}


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp of libseccomp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def refuse_families(library: ctypes.CDLL, families: set[int]) -> None:
    """Refuse sockets of other address families."""
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ALLOW)))
    number = library.seccomp_syscall_resolve_name(b"socket")
    for family in sorted(set(range(AF_MAX)) - families):
        other = (Comparison * 1)(Comparison(0, EQUAL, family, 0))
        action = ctypes.c_uint32(ERRNO | errno.EAFNOSUPPORT)
        library.seccomp_rule_add_array(context, action, number, 1, other)
    if library.seccomp_load(context):
        sys.exit("the filter of address families cannot be loaded")


def allow_system_calls(library: ctypes.CDLL, allowed: set[str], error: str | None) -> None:
    """Refuse any other system call by an error, or without one end the process."""
    action = KILL_PROCESS if error is None else ERRNO | getattr(errno, error)
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(action)))
    for name in sorted(allowed):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            library.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), number, 0, None)
    if library.seccomp_load(context):
        sys.exit("the filter of system calls cannot be loaded")


def give_up_rights(unit: Unit, account: pwd.struct_passwd) -> None:
    """Become the user of the unit, without capabilities and new privileges, and filtered."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    allowed = system_calls(unit.get("SystemCallFilter", []))
    libc = ctypes.CDLL(None)
    if unit.get("CapabilityBoundingSet", ["all"])[-1] == "":
        for capability in range(41):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    if "LimitNOFILE" in unit:
        limit = int(unit["LimitNOFILE"][-1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.umask(int(unit["UMask"][-1], 8))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if "RestrictAddressFamilies" in unit:
        names = unit["RestrictAddressFamilies"][-1].split()
        refuse_families(library, {FAMILIES[name] for name in names})
    if allowed:
        allow_system_calls(library, allowed, unit.get("SystemCallErrorNumber", [None])[-1])


def arguments(command: str, variables: dict[str, str]) -> list[str]:
    """Return the words of a command line of systemd, with $$ and ${NAME}."""
    return [
        re.sub(r"\$\$|\$\{(\w+)\}", lambda one: variables[one[1]] if one[1] else "$", word)
        for word in shlex.split(command)
    ]


def state_folders(unit: Unit, account: pwd.struct_passwd) -> list[str]:
    """Make the folders of StateDirectory; return them and those of ReadWritePaths."""
    folders = [f"/var/lib/{one}" for one in " ".join(unit["StateDirectory"]).split()]
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
        os.chown(folder, account.pw_uid, account.pw_gid)
        os.chmod(folder, int(unit["StateDirectoryMode"][-1], 8))
    return folders[:1] + " ".join(unit.get("ReadWritePaths", [])).split()


def main() -> int:
    """Run the commands of the unit, the last one in place of this process."""
    template, instance = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else "")
    unit = read_unit(template, instance)
    print("not applied: " + " ".join(sorted(set(unit) - APPLIED)), flush=True)
    account = pwd.getpwnam(unit["User"][-1])
    credentials = Path(credentials_folder(template, instance))
    load_credentials(unit, credentials, account)
    variables = environment(unit, account, credentials)
    protect_files(unit, state_folders(unit, account))
    os.chdir(unit["WorkingDirectory"][-1])
    *first, last = (arguments(command, variables) for command in unit["ExecStart"])
    for command in first:
        child = os.fork()
        if child == 0:
            give_up_rights(unit, account)
            os.execve(command[0], command, variables)  # noqa: S606
        if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            return status
    give_up_rights(unit, account)
    os.execve(last[0], last, variables)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
