#!/bin/bash
# Plumbline on this machine by one command: package, key and request for the broker, settings, service.
# bash install.sh --help says the rest. What is right already stays as it is, so run it again after any trouble.

set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

usage() {
  cat <<'END'
bash install.sh [--from PLACE] --site NAME --area NAME --line NAME --station NAME --broker HOST[:PORT]
                [--ca FILE] [--camera WHAT] [--yes] [--dry-run]

Installs Plumbline on Debian 12, Ubuntu 22.04 or 24.04, or upgrades it, and starts it as a service. Asks for
what is not given. Run it as root; to put in a broker's certificate, run it again.

  --from PLACE       folder with the packages, such as a USB stick, one package, or an https:// folder with
                     packages and their SHA256SUMS. Default: the folder of this script
  --site, --area, --line, --station NAME
                     where this machine stands: 1 to 64 of a-z, 0-9, _ and -
  --broker HOST[:PORT]   the MQTT broker; port 8883 with --ca, else 1883
  --ca FILE          certificates in PEM that the broker's must come from; switches TLS on
  --camera WHAT      rtsp://..., /dev/video0, an IPv4 address or Vendor-Model-Serial of a GenICam camera, or a
                     folder that pictures are put into. Default: /var/lib/plumbline/pictures
  --yes              ask nothing, take the defaults
  --dry-run          say what would be done, and change nothing
  --root DIR         put everything below DIR, for tests

Exit codes: 0 the service runs and doctor finds nothing; 1 not all of it could be done, or doctor found
something; 2 an argument or an answer is wrong, and nothing was done.
END
}

work='' deb='' from='' root='' site='' area='' line='' station='' broker='' ca='' camera='' yes='' dry=''
pictures=/var/lib/plumbline/pictures
service=plumbline.service

say() { printf '%s\n' "$*"; }
refuse() { printf 'install.sh: %s\n' "$*" >&2; exit 2; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
masked() { sed -E 's#://[^"]*@#://***@#'; }
act() { if [[ $dry ]]; then say "would run: ${*@Q}"; else "$@"; fi; }

# What is wrong with the value of a flag or an answer, in words; nothing where it is right.
problem() {
  local name=$1 value=$2
  case $name in
    site | area | line | station)
      [[ $value =~ ^[a-z0-9_-]{1,64}$ ]] || say "${value@Q} is no name: write 1 to 64 of a-z, 0-9, _ and -" ;;
    broker)
      if ! [[ $value =~ ^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,253})(:([0-9]{1,5}))?$ ]]; then
        say "${value@Q} is no broker: write HOST or HOST:PORT, an IPv6 address in [brackets]"
      elif [[ ${BASH_REMATCH[3]} ]] && ((10#${BASH_REMATCH[3]} < 1 || 10#${BASH_REMATCH[3]} > 65535)); then
        say "${BASH_REMATCH[3]} is no port: write 1 to 65535"
      fi ;;
    camera)
      if [[ $value == *[[:cntrl:]\"\'\\]* || $value =~ (^|/)\.\.(/|$) ]]; then
        say 'no camera has quotes, backslashes, control characters or .. in its name: write it plainly'
      elif [[ $value =~ ^(/home|/root|/tmp|/var/tmp|/run/user)(/|$) ]]; then
        say "${value@Q} is hidden from the service: put the folder elsewhere, such as below /srv"
      elif [[ $value == /dev/* ]]; then
        [[ $value =~ ^/dev/[A-Za-z0-9/_.:-]+$ ]] || say "${value@Q} is no device: write one such as /dev/video0"
      elif [[ $value == /* ]]; then
        [[ $value == "$pictures" || -d $root$value ]] || say "${value@Q} is no folder: make it first"
      elif ! [[ $value =~ ^[a-z]+://[^[:space:]]+$ || $value =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}$ ||
        $value =~ ^[A-Za-z0-9][A-Za-z0-9\ ._\(\)-]*-[A-Za-z0-9._-]*[A-Za-z0-9]$ ]]; then
        say "$(masked <<<"$value") is no camera: write rtsp://..., /dev/video0, an IPv4 address," \
          'Vendor-Model-Serial or a folder by its whole path'
      fi ;;
    ca)
      grep -qs -e '-----BEGIN CERTIFICATE-----' -- "$value" ||
        say "${value@Q} holds no certificate in PEM: give the file of the broker's CA" ;;
  esac
}

parse() {
  local name
  while (($#)); do
    name=${1#--}
    case $1 in
      --from | --root | --site | --area | --line | --station | --broker | --ca | --camera)
        [[ ${2:-} && $2 != --* ]] || refuse "$1 needs a value; see --help"
        printf -v "$name" %s "$2"
        shift 2 ;;
      --yes) yes=yes; shift ;;
      --dry-run) dry=yes; shift ;;
      --help) usage; exit 0 ;;
      *) refuse "${1@Q} is no option; see --help" ;;
    esac
  done
  for name in site area line station broker camera ca; do
    [[ -z ${!name} ]] || words=$(problem "$name" "${!name}") || true
    [[ -z ${words:-} ]] || refuse "--$name: $words"
  done
}

# Ask for the variable $1 with the words $2 until the answer is right; $3 is the default, if there is one.
ask() {
  local -n into=$1
  local words answer
  while [[ -z $into ]]; do
    printf '%s%s: ' "$2" "${3:+ [$3]}" >&2
    IFS= read -r answer <&3 || refuse "no answer for --$1; nothing was done"
    answer=${answer:-${3:-}}
    words=$(problem "$1" "$answer")
    if [[ $words ]]; then say "$words" >&2; else into=$answer; fi
  done
}

# Settings that are there have answered already.
questions() {
  local name needed=() lacking=()
  [[ -e $settings ]] || needed=(site area line station broker)
  for name in "${needed[@]}"; do [[ ${!name} ]] || lacking+=("--$name"); done
  if [[ $yes ]]; then
    ((${#lacking[@]} == 0)) || refuse "--yes leaves no questions: give ${lacking[*]}"
  else
    if [[ -t 0 ]]; then exec 3<&0; elif ! { exec 3</dev/tty; } 2>/dev/null; then
      refuse "there is no terminal to ask on: give --yes${lacking:+ and ${lacking[*]}}"
    fi
    for name in "${needed[@]}"; do
      case $name in
        broker) ask broker 'broker, HOST or HOST:PORT' 127.0.0.1 ;;
        *) ask "$name" "$name" ;;
      esac
    done
    [[ -e $settings || $camera ]] || ask camera 'camera: rtsp://..., /dev/video0, address, or folder' "$pictures"
    say "to be installed: ${deb##*/}${station:+, station $station}${broker:+, broker $broker}"
    [[ $dry ]] || { printf 'Go on? [Y/n]: ' >&2; IFS= read -r name <&3 && [[ $name =~ ^([Yy].*)?$ ]]; } ||
      refuse 'nothing was done'
  fi
  camera=${camera:-$pictures}
}

fetch() { # URL FILE
  if command -v curl >/dev/null; then curl -fsSL --retry 3 --proto '=https' -o "$2" -- "$1"
  elif command -v wget >/dev/null; then wget -q --https-only -O "$2" -- "$1"
  else fail 'neither curl nor wget is on this machine: apt-get install curl, or take the packages on a USB stick'; fi
}

# pyXXX of the Python that the distribution has, whether it is installed yet or not.
python_of_machine() {
  local version
  version=$(dpkg-query -W -f '${Version}' python3 2>/dev/null) || version=''
  if [[ -z $version ]]; then
    # shellcheck source=/dev/null
    case $(. "$root/etc/os-release" && say "$ID $VERSION_ID") in
      'debian 12') version=3.11 ;;
      'ubuntu 22.04') version=3.10 ;;
      'ubuntu 24.04') version=3.12 ;;
    esac
  fi
  [[ $version =~ ^3\.([0-9]+) ]] && say "py3${BASH_REMATCH[1]}"
}

# Sets deb to the newest package in --from that is for this machine, whole and at hand.
choose_package() {
  local architecture python name pattern names=() best='' here
  architecture=$(dpkg --print-architecture)
  python=$(python_of_machine) || fail 'this is none of Debian 12, Ubuntu 22.04 and 24.04, and has no python3'
  pattern="^plumbline_([0-9][A-Za-z0-9.~+-]*)\\+${python}_${architecture}\\.deb\$"
  here=$(cd "$(dirname "${BASH_SOURCE[0]:-.}")" && pwd)
  from=${from:-$here}
  case $from in
    https://*)
      work=$(mktemp -d "$root/var/tmp/plumbline-install.XXXXXX")
      trap 'rm -rf "$work"' EXIT
      fetch "${from%/}/SHA256SUMS" "$work/SHA256SUMS" || fail "${from%/}/SHA256SUMS: cannot be had; see above"
      mapfile -t names < <(sed -nE 's/^[0-9a-f]{64} [ *]([^/]+)$/\1/p' "$work/SHA256SUMS") ;;
    *://*) refuse "--from: ${from@Q}: packages come by https:// or from a folder" ;;
    *.deb) [[ -f $from ]] || refuse "--from: ${from@Q}: no such file"
      names=("${from##*/}") from=$(dirname "$from") ;;
    *) [[ -d $from ]] || refuse "--from: ${from@Q}: no such folder"
      for name in "$from"/*.deb; do [[ -f $name ]] && names+=("${name##*/}"); done ;;
  esac
  for name in "${names[@]}"; do
    [[ $name =~ $pattern ]] || continue
    [[ $best ]] && dpkg --compare-versions "$(version_in "$name")" lt "$(version_in "$best")" || best=$name
  done
  [[ $best ]] || fail "no package fits this machine ($architecture, ${python/py3/Python 3.}): wanted is" \
    "plumbline_VERSION+${python}_${architecture}.deb, and ${from@Q} has ${names[*]:-none}"
  if [[ ${work:-} ]]; then
    deb=$work/$best
    [[ $dry ]] && return
    say "package: fetching $best"
    fetch "${from%/}/$best" "$deb" || fail "${from%/}/$best: cannot be had; see above"
  else
    deb=$(cd "$from" && pwd)/$best
  fi
  check_whole
}

version_in() { [[ $1 =~ ^plumbline_(.*)_[a-z0-9]+\.deb$ ]] && say "${BASH_REMATCH[1]}"; }

check_whole() {
  local list=${work:-$from}/SHA256SUMS expected=''
  [[ ! -f $list ]] || expected=$(awk -v name="${deb##*/}" '$2 == name || $2 == "*" name { print $1 }' "$list")
  [[ -z $expected || $(sha256sum <"$deb") == "$expected  -" ]] ||
    fail "${deb##*/} is not what SHA256SUMS says: it was damaged on its way; copy it anew"
  { [[ $(dpkg-deb -f "$deb" Package) == plumbline ]] && dpkg-deb --fsys-tarfile "$deb" >/dev/null; } 2>/dev/null ||
    fail "${deb@Q} is damaged, or no package of Plumbline: copy it anew"
}

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) == ?i* ]]; }

# What the package and this script need and this machine has not, one package a line.
lacking() {
  local one names is_there
  { dpkg-deb -f "$deb" Pre-Depends; say ,; dpkg-deb -f "$deb" Depends; say ,openssl; } | tr -d '\n' | tr ',' '\n' |
    sed -E 's/\([^)]*\)//g; s/:[a-z]+//g; s/\|/ /g' | while read -ra names || ((${#names[@]})); do
      is_there=''
      for one in "${names[@]}"; do ! is_installed "$one" || is_there=yes; done
      [[ $is_there ]] || ((${#names[@]} == 0)) || say "${names[0]}"
    done | sort -u
}

apt_get() {
  act apt-get -qq -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold "$@" </dev/null
}

install_package() {
  local there wanted ours
  if [[ $dry && ! -f $deb ]]; then say "would fetch and install ${deb##*/}"; return; fi
  ours=$(dpkg-deb -f "$deb" Version)
  [[ -z $(dpkg --audit) ]] || act dpkg --configure -a || say 'package: dpkg could not finish what was begun; going on'
  there=$(dpkg-query -W -f '${db:Status-Abbrev}${Version}' plumbline 2>/dev/null) || there=''
  if [[ $there == ?i* ]] && dpkg --compare-versions "${there#???}" ge "$ours"; then
    say "package: ${there#???} is installed"
    return
  fi
  mapfile -t wanted < <(lacking)
  if ((${#wanted[@]})); then
    say "package: it needs ${wanted[*]}"
    apt_get update || say 'package: no repository answers; going on with what is known'
    apt_get install --no-install-recommends "${wanted[@]}" || true
    [[ $dry ]] || mapfile -t wanted < <(lacking)
    [[ $dry ]] || ((${#wanted[@]} == 0)) || fail "${wanted[*]} missing, and no repository answers: connect this" \
      'machine to one, or install them from the medium of the distribution, and run this again'
  fi
  say "package: installing $ours"
  apt_get install --no-install-recommends "$deb" ||
    { say 'package: apt-get could not; trying dpkg' && act dpkg -i "$deb"; } ||
    fail "${deb##*/} could not be installed: see above; what was there before is still in use. Run this again"
}

install_driver() {
  [[ $camera =~ ^/|:// || -e $settings ]] || is_installed libaravis-0.8-0 ||
    apt_get install --no-install-recommends libaravis-0.8-0 ||
    say 'camera: libaravis-0.8-0 is missing and no repository answers: install it before the camera is used'
}

# Put standard input into the file $1 with mode $2, whole or not at all.
put() {
  if [[ $dry ]]; then say "would write $1:"; masked | sed 's/^/    /'; return; fi
  (umask 077 && cat >"$1.new")
  chmod "$2" "$1.new"
  sync "$1.new"
  mv -f "$1.new" "$1"
}

# From here to the restart the service has not seen everything; the mark outlives this script, not a boot.
mark() { [[ $dry ]] || touch "$restart"; }

make_secrets() {
  local key=$secrets/mqtt-key.pem csr=$secrets/mqtt.csr name text
  if [[ -e $settings && ! $dry ]]; then
    name=$(settings_say identity.station) || fail "$settings cannot be used, see above: mend it and run this again"
    [[ -z $station || $station == "$name" ]] || fail "$settings is for the station $name, not $station:" \
      "mend it, or give --station $name"
    station=$name
  fi
  if [[ ! $dry ]]; then
    mkdir -p "${secrets%/*}"
    install -d -m 0700 "$secrets"
    chown root:root "$secrets"
  fi
  if [[ ! -e $key ]]; then
    say "broker: making the private key $key"
    mark
    [[ $dry ]] || text=$(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)
    [[ $dry ]] || put "$key" 0600 <<<"$text"
  fi
  [[ $dry ]] || openssl pkey -in "$key" -noout 2>/dev/null ||
    fail "$key is no private key: move it away and run this again"
  if [[ ! -e $csr ]]; then
    say "broker: making the certificate request $csr for $station"
    [[ $dry ]] || text=$(openssl req -new -key "$key" -subj "/CN=$station")
    [[ $dry ]] || put "$csr" 0600 <<<"$text"
  elif [[ $(openssl req -in "$csr" -noout -pubkey 2>/dev/null) != "$(openssl pkey -in "$key" -pubout)" ]]; then
    fail "$csr is not a request for $key: move it away and run this again with --station"
  else
    name=$(openssl req -in "$csr" -noout -subject -nameopt multiline | sed -n 's/^ *commonName *= //p')
    [[ -z $station || $station == "$name" ]] || fail "$csr is for the station $name, not $station:" \
      "move it away for a new one, or give --station $name"
  fi
  if [[ $ca && ! -e $secrets/mqtt-ca.pem ]]; then
    say "broker: taking its CA from $ca"
    mark
    put "$secrets/mqtt-ca.pem" 0600 <"$ca"
  elif [[ $ca ]] && ! cmp -s -- "$ca" "$secrets/mqtt-ca.pem"; then
    say "broker: $secrets/mqtt-ca.pem stays, and is not what $ca holds: install -m 0600 that yourself if it is to count"
  fi
  for name in key.pem cert.pem ca.pem password; do
    [[ $dry || ! -e $secrets/mqtt-$name ]] || chown root:root "$secrets/mqtt-$name"
    [[ $dry || ! -e $secrets/mqtt-$name ]] || chmod 0600 "$secrets/mqtt-$name"
  done
}

# A line for a file that is not there would keep the service from starting, so those that are there are named.
hand_over_secrets() {
  local file=$root/etc/systemd/system/$service.d/credentials.conf first name text
  first='# Made by install.sh of what lies in /etc/plumbline/secrets; run it again after a change there.'
  if [[ -e $file && $(head -n 1 "$file") != "$first" ]]; then
    say "broker: $file is not of this script and stays"
    return
  fi
  text=$first$'\n[Service]'
  for name in mqtt-ca.pem mqtt-cert.pem mqtt-key.pem mqtt-password; do
    [[ ! -e $secrets/$name ]] || text+=$'\n'"LoadCredential=$name:/etc/plumbline/secrets/$name"
  done
  ! cmp -s "$file" - <<<"$text" || return 0
  mark
  act mkdir -p "${file%/*}"
  put "$file" 0644 <<<"$text"
}

settings_text() {
  local host=${broker%:*} port=${broker##*:} source
  if ! [[ $broker =~ :[0-9]+$ ]]; then host=$broker port=${ca:+8883} port=${port:-1883}; fi
  host=${host#[} host=${host%]} port=$((10#$port))
  case $camera in
    /dev/* | *://*) source="{kind: video, url: \"$camera\"}" ;;
    /*) source="{kind: folder, path: \"$camera\", watch: true}" ;;
    *) source="{kind: genicam, address: \"$camera\"}" ;;
  esac
  cat <<END
# Written by install.sh: what differs from the defaults, which /usr/share/doc/plumbline/agent.yaml explains.
# After a change: plumbline validate /etc/plumbline/agent.yaml && systemctl reload plumbline
version: 1
identity: {site: "$site", area: "$area", line: "$line", station: "$station"}
# The sample model, for solar cells: name your own here.
bundle: /usr/share/plumbline/bundles/elpv
cameras:
  - name: top
    source: $source
mqtt:
  host: "$host"
  port: $port
END
  [[ -z $ca ]] || cat <<'END'
  tls: true
  ca_file: "%d/mqtt-ca.pem"
  cert_file: "%d/mqtt-cert.pem"
  key_file: "%d/mqtt-key.pem"
END
}

write_settings() {
  local new=$settings.new
  if [[ -e $settings ]]; then
    say "settings: $settings is there and stays"
    if [[ $site$area$line$broker$ca ]] && ! cmp -s "$settings" <(settings_text); then
      say 'settings: it is not what these flags would give: change it by hand if they are to count'
    fi
    return
  fi
  mark
  if [[ $camera == "$pictures" && ! -d $root$pictures ]]; then
    act mkdir -p "$root$pictures"
    act chown plumbline:plumbline "$root$pictures"
  fi
  if [[ $dry ]]; then settings_text | put "$settings" 0640; return; fi
  settings_text | put "$new" 0640
  chown root:plumbline "$new"
  # As the service's user and with its folders: what root may read or write says nothing.
  setpriv --reuid=plumbline --regid=plumbline --init-groups --reset-env \
    env STATE_DIRECTORY=/var/lib/plumbline CACHE_DIRECTORY=/var/cache/plumbline \
    "$root/usr/bin/plumbline" validate "$new" ||
    fail "these settings cannot be used, see above: mend $new, rename it to agent.yaml and run this again"
  mv "$new" "$settings"
  say "settings: $settings written"
}

# Values of the settings in one line, read by the product itself.
settings_say() {
  "$root/opt/plumbline/current/bin/python" -I -c 'import sys, pathlib, functools
from agent.settings import settings
found = settings.load(pathlib.Path(sys.argv[1]))
print(*(functools.reduce(getattr, key.split("."), found) for key in sys.argv[2:]))' "$settings" "$@"
}

# Secrets are handed over at a start: the service has copies of those that were there then.
compare_secrets() {
  local copy
  for copy in "$root/run/credentials/$service"/mqtt-*; do
    [[ -e $copy && -e $secrets/${copy##*/} ]] || continue
    cmp -s "$copy" "$secrets/${copy##*/}" || mark
  done
}

start_service() {
  compare_secrets
  systemctl is-enabled --quiet "$service" || act systemctl enable "$service"
  if [[ ! -d $root/run/systemd/system ]]; then
    undone='no systemd runs here: the service starts when one does'
    return
  fi
  if [[ -e $restart ]] || [[ $dry ]] || ! systemctl is-active --quiet "$service"; then
    say 'service: starting it, until it is ready'
    act systemctl daemon-reload
    if ! act systemctl restart "$service"; then
      systemctl status --no-pager --full --lines=20 "$service" || true
      fail 'the service did not start: mend what it says above (more: journalctl -u plumbline) and run this again'
    fi
    act rm -f "$restart"
  else
    act systemctl reload "$service" # of settings that were changed by hand; others it leaves as they are
  fi
  if [[ $dry ]]; then return; fi
  systemctl is-active --quiet "$service" || fail 'the service has ended again: see journalctl -u plumbline'
  say 'service: ready'
}

tell() {
  local said host port page tls link
  said=$(settings_say page.host page.port page.enabled mqtt.tls mqtt.host)
  read -r host port page tls link <<<"$said"
  if [[ $tls == False && $link =~ ^(127\.|localhost$|::1$) ]]; then
    say 'broker: on this machine, so the link is in clear; to one elsewhere it must not be (--ca)'
  elif [[ $tls == False ]]; then
    say 'broker: THE LINK IS IN CLEAR: whoever is on its network can read verdicts and send false ones.' \
      "To encrypt it, put the broker's CA into $secrets/mqtt-ca.pem, write into $settings below mqtt: tls: true," \
      'ca_file: "%d/mqtt-ca.pem", cert_file: "%d/mqtt-cert.pem", key_file: "%d/mqtt-key.pem" and its TLS port,' \
      'and run this again'
  fi
  [[ -e $secrets/mqtt-cert.pem ]] || say "broker: have $secrets/mqtt.csr signed by the CA of your broker, then:" \
    "install -m 0600 SIGNED.pem $secrets/mqtt-cert.pem, and run this again"
  [[ $page != True ]] || say "page: http://$host:$port/ (127.0.0.1 is this machine alone: ssh -L, or page.host)"
}

main() {
  local words='' undone=''
  parse "$@"
  settings=$root/etc/plumbline/agent.yaml secrets=$root/etc/plumbline/secrets restart=$root/run/plumbline-restart
  [[ $root || $EUID == 0 || $dry ]] || refuse 'only root can install: sudo bash install.sh ...'
  if [[ ! $dry ]]; then
    exec 9>"$root/run/plumbline-install"
    flock -n 9 || fail 'another install.sh is at work: wait for it'
  fi
  choose_package
  questions
  install_package
  install_driver
  make_secrets
  hand_over_secrets
  write_settings
  start_service
  if [[ $dry ]]; then say 'nothing was changed'; return; fi
  "$root/usr/bin/plumbline" doctor -c "$settings" || undone+="${undone:+; }doctor has found something, see above"
  tell
  [[ -z $undone ]] || fail "all is in its place, but $undone"
}

main "$@"
