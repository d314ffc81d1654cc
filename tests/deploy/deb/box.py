"""A machine in a folder for the package's scripts: their commands are stand-ins that fail on cue.

The stand-ins count themselves, so that a test can cut the power before any of them. Those that move files do
what they are named for; pip, doctor and systemd write down what they were asked.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from control import script

OLD, NEW = "0.0.9-aaaaaaaa", "0.1.0-bbbbbbbb"
CUT = -9
REAL = ("rm", "mkdir", "ln", "mv", "readlink", "sync", "timeout", "env", "awk")

TICK = """\
#!/bin/sh
count=$(($(cat "$BOX/count") + 1))
echo $count >"$BOX/count"
# Both groups: timeout(1) makes one of its own.
[ $count != "$(cat "$BOX/cut_at")" ] || kill -KILL -"$(cat "$BOX/group")" 0
name=${0##*/}
if [ "$name" = "$(cat "$BOX/fails")" ]; then
    echo "$name: made to fail" >&2
    exit 1
fi
"""
COMMANDS = {
    "dpkg": "cat $BOX/machine",
    "df": 'echo; echo "disk 9 9 $(cat "$BOX/free_kb") 9% /"',
    "setpriv": 'while [ "$1" != env ]; do shift; done; exec "$@"',
    "systemd-sysusers": "",
    "systemd-tmpfiles": "",
    "udevadm": "",
    "systemctl": "",
    "deb-systemd-helper": "",
    "deb-systemd-invoke": 'echo "$* with $(/bin/readlink "$OPT/current")" >>"$BOX/invoked"',
}
PYTHON = """\
folder=$4
/bin/mkdir -p "$folder/bin" "$folder/lib/python3.11/site-packages"
/bin/cp "$BOX/pip" "$folder/bin/python"
"""
PIP = """\
case $2 in
    -c) exec python3 "$@" ;;
esac
folder=${0%/bin/python}
"$BOX/bin/half" && /bin/cp "$BOX/plumbline" "$folder/bin/plumbline"
"""
PLUMBLINE = """\
#!/bin/sh
case $1 in
    --version) echo plumbline ;;
    outbox) cat "$BOX/outbox.json" ;;
    doctor)
        echo "doctor $* in $STATE_DIRECTORY" >>"$BOX/doctors"
        exec "$BOX/bin/doctor"
        ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Box:
    """The machine below `folder`; its root is `folder/root`."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def opt(self) -> Path:
        return self.root / "opt" / "plumbline"

    def make(self) -> None:
        for place in ("usr/bin", "etc", "run/systemd/system"):
            (self.root / place).mkdir(parents=True)
        commands = {
            **COMMANDS,
            **{name: f'exec /bin/{name} "$@"' for name in REAL},
            "half": "",
            "doctor": "",
        }
        for name, body in commands.items():
            self._program(self.folder / "bin" / name, TICK + body)
        self._program(self.root / "usr/bin/python3.11", TICK + PYTHON)
        self._program(self.root / "usr/bin/python3", "#!/bin/sh\necho Python 3.12.3\n")
        self._program(self.folder / "pip", TICK.replace("${0##*/}", "pip") + PIP)
        self._program(self.folder / "plumbline", PLUMBLINE)
        self.cue("machine", "amd64")
        self.cue("free_kb", str(10 << 20))
        self.cue("outbox.json", '{"rows": 7}')
        for name in ("cut_at", "fails", "invoked", "doctors"):
            self.cue(name, "")

    def cue(self, name: str, words: str) -> None:
        (self.folder / name).write_text(words)

    def said(self, name: str) -> list[str]:
        return (self.folder / name).read_text().splitlines()

    def settings(self, name: str = "agent.yaml") -> Path:
        file = self.root / "etc/plumbline" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("version: 1\n")
        return file

    def run(
        self, name: str, *arguments: str, environment: str = NEW, cut_at: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a maintainer's script of the package with that environment; the power goes at that command."""
        self.cue("count", "0")
        self.cue("cut_at", str(cut_at))
        marks = {
            "ENVIRONMENT": environment,
            "PYTHON": "3.11",
            "ARCH": "amd64",
            "ROOM_KB": "600000",
            "UNPACKED_KB": "200000",
            "RESERVE_KB": "100000",
        }
        file = self.folder / name
        file.write_text(script(name, marks))
        return subprocess.run(
            ["sh", "-c", 'echo $$ >"$BOX/group"; exec sh "$@"', "sh", file, *arguments],
            env={
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "DPKG_ROOT": str(self.root),
                "BOX": str(self.folder),
                "OPT": str(self.opt),
            },
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )

    def installed(self, environment: str) -> None:
        """As `apt-get install` of that version would."""
        for name, argument in (("preinst", "install"), ("postinst", "configure")):
            done = self.run(name, argument, environment=environment)
            assert done.returncode == 0, done.stderr

    def current(self) -> str:
        """The name of the environment in use. Fails where it could not be run."""
        target = (self.opt / "current").readlink()
        assert (self.opt / target / ".complete").exists()
        assert (self.opt / target / "bin/plumbline").exists()
        return str(target)

    def environments(self) -> list[str]:
        return sorted(path.name for path in self.opt.iterdir() if not path.is_symlink())

    def commands(self) -> int:
        """How many commands the last script called."""
        return int((self.folder / "count").read_text())

    @staticmethod
    def _program(file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
