#!/bin/bash
# Builds target/dist/gateway: optimised as a whole, with a profile of what the gateway does when it serves. The profile comes
# from a build that counts, under the traffic of train.sh; it is made once and kept in target/pgo (delete that for a
# new one). Without llvm-profdata (rustup's llvm-tools) or curl the binary is built without it, a tenth slower.
set -euo pipefail
cd "$(dirname "$0")/../.."

host=$(rustc -vV | sed -n 's/^host: //p')
pgo=$PWD/target/pgo
profile=$pgo/gateway.profdata

build() { # flags of rustc
    RUSTFLAGS=$1 cargo build --profile dist --package gateway --target "$host" --target-dir "$pgo/build"
}

profdata() {
    local tool
    tool=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
    [ -x "$tool" ] || rustup component add llvm-tools >&2 || return
    [ -x "$tool" ] && echo "$tool"
}

flags=
if [ -s "$profile" ]; then
    flags=-Cprofile-use=$profile
elif command -v curl >/dev/null && tool=$(profdata); then
    echo 'A build that counts what is used, then the traffic, then the build itself: a quarter of an hour on two cores.'
    rm -rf "$pgo/counts"
    build "-Cprofile-generate=$pgo/counts"
    benches/training/train.sh "$pgo/build/$host/dist/gateway"
    "$tool" merge --output "$profile" "$pgo/counts"
    flags=-Cprofile-use=$profile
else
    echo 'No llvm-profdata or no curl here: the binary is built without a profile.' >&2
fi
build "$flags"
mkdir -p target/dist
cp "$pgo/build/$host/dist/gateway" target/dist/.gateway.new
mv target/dist/.gateway.new target/dist/gateway
