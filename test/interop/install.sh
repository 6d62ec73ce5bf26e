#!/usr/bin/env bash
# Installs and builds the peers that test/interop talks to: GnuTLS, NSS, tshark and tcpdump from Debian, a Node with a
# newer OpenSSL from npm unless MUTLS_NODE_OPENSSL35 names one; builds ours in Go, Rust and Java. Go, cargo, a JDK and
# Python must be there, or come from Debian where their packages are new enough.
#   test/interop/install.sh FOLDER && . FOLDER/env && npm run test:interop
# Nothing of it becomes part of the project; FOLDER/env says where everything is.
set -euo pipefail
folder=${1:?usage: install.sh FOLDER}
peers=$(cd "$(dirname "$0")/peers" && pwd)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

wanted=()
need() { command -v "$1" >/dev/null || wanted+=("$2"); }
need gnutls-cli gnutls-bin
need gnutls-serv gnutls-bin
need tstclnt libnss3-tools
need javac openjdk-17-jdk-headless
need python3 python3
need curl curl
need cc gcc
need tshark tshark
need tcpdump tcpdump
if [ "${#wanted[@]}" -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing, and not root on Debian: ${wanted[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends "${wanted[@]}"
fi

node=${MUTLS_NODE_OPENSSL35:-}
if [ -z "$node" ]; then
  case $(uname -sm) in
    "Linux x86_64") platform=linux-x64 ;;
    "Linux aarch64") platform=linux-arm64 ;;
    *) echo "no Node is known for $(uname -sm): set MUTLS_NODE_OPENSSL35 by hand" >&2; exit 1 ;;
  esac
  npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --no-package-lock \
    "node22@npm:node-$platform@22.22.3"
  node=$folder/node_modules/node22/bin/node
fi

# rustup keeps its toolchains in the user's own home, which HOME need not be.
if ! cargo --version >/dev/null 2>&1; then
  home=$(getent passwd "$(id -u)" | cut -d: -f6)
  if [ -d "$home/.rustup" ]; then export RUSTUP_HOME=$home/.rustup; else rustup default stable; fi
  cargo --version
fi

# The slowest starts first; the others are built meanwhile.
(cd "$peers/rust" && cargo build --quiet --locked --target-dir "$folder/rust") &
rust=$!
javac -d "$folder/java" "$peers/Peer.java"
(cd "$peers/go" && go build -o "$folder/go-peer" .)
(cd "$peers/go-pki" && go build -o "$folder/go-pki" .)
wait "$rust"
cp "$folder/rust/debug/rustls-peer" "$folder/rustls-peer"

printf 'export MUTLS_INTEROP=%q\nexport MUTLS_NODE_OPENSSL35=%q\n' "$folder" "$node" >"$folder/env"
cat "$folder/env"
