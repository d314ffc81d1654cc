#!/bin/bash
# Build the image of one platform: bash deploy/containers/build.sh PLATFORM [more arguments of the tool]
# PLATFORM is a row of platforms.tsv. With podman, buildah or docker, whichever is there; TOOL=... names one.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
platform=${1:-}

while IFS=$'\t' read -r name arch base py packages _; do
  [[ $name == "$platform" ]] && break
done < <(sed 's/\t\t/\t-\t/g' "$here/platforms.tsv")
if [[ -z $platform || $name != "$platform" ]]; then
  echo "build.sh: say which platform: $(sed -n 's/^\([a-z0-9-]*\)\t.*/\1/p' "$here/platforms.tsv" | paste -sd ' ')" >&2
  exit 2
fi
tool=${TOOL:-$(command -v podman || command -v buildah || command -v docker)} ||
  { echo 'build.sh: needs podman, buildah or docker' >&2; exit 2; }
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/../../pyproject.toml")

case ${tool##*/} in
  docker) more=() ;;
  # The health check is no part of the OCI format; docker finds the ignore file by itself.
  *) more=(--format docker --ignorefile "$here/Containerfile.dockerignore") ;;
esac
exec "$tool" build "${more[@]}" --platform "linux/$arch" --file "$here/Containerfile" \
  --build-arg "BASE=$base" --build-arg "PY=$py" --build-arg "PACKAGES=${packages#-}" \
  --tag "plumbline:$version-$platform" "${@:2}" "$here/../.."
