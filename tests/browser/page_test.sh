#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# page_test.sh PAGE [PICTURES]: page_test.mjs in a network of its own, with Debian's Chromium and the playwright-core that
# package-lock.json names, which it fetches first. PICTURES is the prefix of two pictures, light and dark; without one
# they are thrown away.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
page=$(realpath "$1")
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
pictures=${2:-$directory/page}
[ "${pictures:0:1}" = / ] || pictures=$PWD/$pictures

# With Node.js from elsewhere comes an npm that Debian's must not be put beside.
command -v npm >/dev/null || "$here"/../../tools/install-packages <(echo npm)
cp "$here"/package.json "$here"/package-lock.json "$here"/page_test.mjs "$directory"
(cd "$directory" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
HOME=$directory timeout 300 unshare --net --kill-child --fork node "$directory/page_test.mjs" "$page" "$pictures"
