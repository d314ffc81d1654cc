#!/bin/sh
# Made by make deb from deploy/deb/scripts.
set -e
umask 022

root=${DPKG_ROOT:-}
home=$root/opt/plumbline
settings=$root/etc/plumbline

say() { echo "plumbline: $*" >&2; }

# The environment in use, as the name of its folder; nothing where there is none.
in_use() { readlink "$home/current" || true; }

# A half-deleted environment must never look complete.
drop() {
    rm -f "$1/.complete"
    rm -rf "$1"
}

systemd_runs() { [ -d "$root/run/systemd/system" ]; }

settings_of() {
    case $1 in
        plumbline.service) echo "$settings/agent.yaml" ;;
        *) instance=${1#plumbline@} && echo "$settings/${instance%.service}.yaml" ;;
    esac
}

# The units of this machine's stations that have settings.
stations() {
    if [ -e "$settings/agent.yaml" ]; then
        echo plumbline.service
    fi
    for link in "$root"/etc/systemd/system/*.wants/plumbline@?*.service; do
        if [ -L "$link" ] && [ -e "$(settings_of "${link##*/}")" ]; then
            echo "${link##*/}"
        fi
    done
}

# as_station UNIT COMMAND...: as its service would, so that no file of the state comes to belong to root.
as_station() {
    case $1 in
        plumbline.service) folder=plumbline ;;
        *) folder=plumbline/${1#plumbline@} && folder=${folder%.service} ;;
    esac
    shift
    setpriv --reuid=plumbline --regid=plumbline --init-groups --reset-env env \
        "STATE_DIRECTORY=$root/var/lib/$folder" "CACHE_DIRECTORY=$root/var/cache/$folder" \
        "LOGS_DIRECTORY=$root/var/log/$folder" "CONFIGURATION_DIRECTORY=$settings" "$@"
}
