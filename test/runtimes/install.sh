#!/usr/bin/env bash
# Installs the runtimes that test/runtimes and test/browser run in, from npm and, for Chromium, from Debian.
#   test/runtimes/install.sh FOLDER && . FOLDER/env && npm run test:runtimes
# Nothing of it becomes part of the project; FOLDER/env says where everything is.
set -euo pipefail
folder=${1:?usage: install.sh FOLDER}

case $(uname -sm) in
  "Linux x86_64") node=linux-x64 workerd=linux-64 deno=linux-x64-glibc bun=linux-x64-baseline ;;
  "Linux aarch64") node=linux-arm64 workerd=linux-arm64 deno=linux-arm64-glibc bun=linux-aarch64 ;;
  *) echo "no runtimes are known for $(uname -sm): set MUTLS_NODE22 and the others by hand" >&2; exit 1 ;;
esac

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
modules=$folder/node_modules

# The platform's packages hold the binaries themselves: no install script is needed, and none runs.
npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --no-package-lock \
  "node20@npm:node-$node@20.19.0" \
  "node22@npm:node-$node@22.22.3" \
  "node24@npm:node-$node@24.21.0" \
  "node26@npm:node-$node@26.10.0" \
  "@cloudflare/workerd-$workerd@1.20261117.1" \
  "@deno/$deno@2.9.6" \
  "@oven/bun-$bun@1.4.5"

# 20.19.0 is the oldest Node that package.json admits.
declare -A found=(
  [MUTLS_NODE20]=$modules/node20/bin/node
  [MUTLS_NODE22]=$modules/node22/bin/node
  [MUTLS_NODE24]=$modules/node24/bin/node
  [MUTLS_NODE26]=$modules/node26/bin/node
  [MUTLS_WORKERD]=$modules/@cloudflare/workerd-$workerd/bin/workerd
  [MUTLS_DENO]=$modules/@deno/$deno/deno
  [MUTLS_BUN]=$modules/@oven/bun-$bun/bin/bun
)

if ! command -v chromium >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends chromium
fi
if chromium=$(command -v chromium); then found[MUTLS_CHROMIUM]=$chromium; fi

for name in "${!found[@]}"; do
  version=$("${found[$name]}" --version | head -1)
  printf '%s: %s\n' "$name" "$version"
  printf 'export %s=%q\n' "$name" "${found[$name]}"
done >"$folder/list"
grep -v '^export' "$folder/list" | sort
grep '^export' "$folder/list" | sort >"$folder/env"
