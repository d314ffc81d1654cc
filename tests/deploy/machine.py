"""A machine to install on: a root of its own with dpkg's real database, and commands that can fail on cue.

dpkg, dpkg-deb and openssl are the real ones; apt-get and systemctl are small stand-ins. Every command that
the script runs is written down, and the script can be killed at any of them.
"""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "install.sh"
FLAGS = ("--site", "plant1", "--area", "press", "--line", "l2", "--station", "cell3-cam1")
PLAIN = ("mkdir", "touch", "rm", "mv", "chmod", "sync", "install", "openssl", "cmp", "mktemp", "sha256sum")
FOLDERS = (
    "etc",
    "run/systemd/system",
    "usr/share/plumbline/bundles",
    "var/lib/dpkg/info",
    "var/lib/dpkg/updates",
    "var/lib/plumbline",
    "var/tmp",
)
STANZA = """Package: one
Status: install ok installed
Maintainer: us
Architecture: all
Version: 3.11.2-1
Description: one

"""
HERE = subprocess.run(
    ["/usr/bin/dpkg", "--print-architecture"], capture_output=True, text=True, check=True
).stdout.strip()

START = """#!/bin/bash
echo "{name} $*" >>{machine}/calls
[[ ! -e {machine}/cut_at || $(wc -l <{machine}/calls) -lt $(<{machine}/cut_at) ]] || kill -KILL 0
while read -r cue; do
  [[ "{name} $*" != *$cue* ]] || {{ echo "{name}: failed on cue" >&2; exit 1; }}
done <{machine}/cues
"""
DPKG = """
real() {{ /usr/bin/dpkg --root={root} --log=/dev/null --force-not-root --force-script-chrootless "$@"; }}
"""
BODIES = {
    "dpkg": DPKG
    + """case $1 in
  --print-architecture) cat {machine}/architecture ;;
  --compare-versions) /usr/bin/dpkg "$@" ;;
  *) real "$@" ;;
esac
""",
    "dpkg-query": """/usr/bin/dpkg-query --admindir={root}/var/lib/dpkg "$@"
""",
    "apt-get": DPKG
    + """while [[ $1 == -* ]]; do [[ $1 == -o ]] && shift; shift; done
[[ $1 != update ]] || exec test -e {machine}/online
shift
for one in "$@"; do
  case $one in
    -*) ;;
    /*) real -i "$one" || exit 100 ;;
    *) [[ -e {machine}/online ]] || {{ echo "E: Unable to locate package $one" >&2; exit 100; }}
       sed "s/^Package: .*/Package: $one/" {machine}/stanza >>{root}/var/lib/dpkg/status ;;
  esac
done
""",
    "systemctl": """case $1 in
  is-enabled) test -e {machine}/enabled ;;
  is-active) test -e {machine}/active ;;
  enable) touch {machine}/enabled ;;
  restart) test -e {root}/etc/plumbline/agent.yaml && touch {machine}/active ;;
esac
""",
    "chown": "",
    "setpriv": """while [[ $1 != env ]]; do shift; done
"$@"
""",
    "curl": """while [[ $1 != -o ]]; do shift; done
cp {stick}/$(basename "$4") "$2"
""",
}
PLUMBLINE = """
[[ $1 == validate ]] || exec test ! -e {machine}/doctor_finds
[[ ! -e {machine}/quick ]] || exit 0
sed 's#\\(path: "\\|bundle: \\)/#\\1{root}/#' "$2" >"$2.here"
trap 'rm "$2.here"' EXIT
STATE_DIRECTORY={root}$STATE_DIRECTORY CACHE_DIRECTORY={root}$CACHE_DIRECTORY \
  {python} -m agent validate $(cat {machine}/how) "$2.here" >&2
"""
PYTHON = """#!/bin/bash
[[ -e {machine}/quick ]] || exec {python} "$@"
[[ $* == *identity* ]] && echo cell3-cam1 || echo 127.0.0.1 8080 True True mqtt.example.com
"""


class Machine:
    """A fresh one of Debian 12 with what its installer leaves, and a stick with the packages for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.stick = folder / "stick"
        self.secrets = self.root / "etc/plumbline/secrets"
        self.settings = self.root / "etc/plumbline/agent.yaml"
        self._bin = folder / "bin"
        for name in FOLDERS:
            (self.root / name).mkdir(parents=True)
        (self.root / "usr/share/plumbline/bundles/elpv").symlink_to(ROOT / "models/bundles/elpv")
        (self.root / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
        (folder / "stanza").write_text(STANZA)
        self.packages("python3", "python3-venv", "openssl")
        self.say("architecture", HERE)
        self.say("how", "--no-files")
        self.say("cues", "")
        self.say("calls", "")
        self._bin.mkdir()
        for name, body in (BODIES | {name: f'{shutil.which(name)} "$@"\n' for name in PLAIN}).items():
            self._program(self._bin / name, START + body, name=name)
        self.stick.mkdir()
        self.package()

    def packages(self, *names: str) -> None:
        """Those that dpkg believes to be installed, and no others."""
        stanzas = [STANZA.replace("one", name, 1) for name in names]
        (self.root / "var/lib/dpkg/status").write_text("".join(stanzas))
        for name in names:
            for suffix in ("list", "md5sums"):
                (self.root / f"var/lib/dpkg/info/{name}.{suffix}").touch()

    def package(self, version: str = "0.1.0", python: str = "py311", architecture: str = HERE) -> Path:
        """A package as `make deb` names it, on the stick."""
        tree = self.folder / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(
            f"Package: plumbline\nVersion: {version}+{python}\nArchitecture: {architecture}\nMaintainer: us\n"
            "Depends: python3 (>= 3.11), python3 (<< 3.12), python3-venv | python3.11-venv\n"
            "Description: one\n"
        )
        (tree / "DEBIAN/md5sums").touch()
        self._program(tree / "usr/bin/plumbline", START + PLUMBLINE, name="plumbline")
        self._program(tree / "opt/plumbline/current/bin/python", PYTHON)
        deb = self.stick / f"plumbline_{version}+{python}_{architecture}.deb"
        build = ["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, deb]
        subprocess.run(build, check=True, capture_output=True)
        shutil.rmtree(tree)
        return deb

    def say(self, name: str, words: str) -> None:
        """Tell the stand-ins something: what stands in `folder` by that name."""
        (self.folder / name).write_text(words + "\n" if words else "")

    def forget(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def calls(self) -> list[str]:
        """The commands since the last time."""
        found = (self.folder / "calls").read_text().splitlines()
        self.say("calls", "")
        return found

    def command(self, *flags: str) -> list[str]:
        return ["bash", str(SCRIPT), "--root", str(self.root), "--from", str(self.stick), *flags]

    def environment(self) -> dict[str, str]:
        path = f"{self._bin}:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "HOME": str(self.folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def install(self, *flags: str) -> subprocess.CompletedProcess[str]:
        """In a session without a terminal."""
        return subprocess.run(
            self.command(*flags),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            start_new_session=True,
            check=False,
        )

    def tree(self) -> dict[str, tuple[int, bytes | str]]:
        """Every file of the machine but run/, with its mode and content."""
        found: dict[str, tuple[int, bytes | str]] = {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if name.startswith("run/") or "/bundles/" in name:
                continue
            mode = stat.S_IMODE(path.lstat().st_mode)
            found[name] = (mode, path.read_bytes() if path.is_file() else "")
        return found

    def _program(self, path: Path, text: str, **words: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            text.format(machine=self.folder, root=self.root, stick=self.stick, python=sys.executable, **words)
        )
        path.chmod(0o755)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
