#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# http_test.sh TIDELINE [MEBIBYTES [bad]]: the kernel's curl downloads from `tideline serve`, and `tideline get` from
# nginx on the kernel's sockets, over TAP and both IP versions, on good links and on bad ones: every checksum is that of
# the file. Then what HTTP asks for: ranges, keep-alive, errors, resumption. `4096` as MEBIBYTES is the long form.
. "$(dirname "$0")/common.sh"
export XDG_RUNTIME_DIR=$directory  # a segment of this test's own

mebibytes=${2:-24}
root=$directory/root
mkdir -p "$root/sub" "$directory/got"
head -c "${mebibytes}M" /dev/urandom >"$root/big"
head -c 3000000 "$root/big" >"$root/small"
echo hello >"$root/sub/index.html"
echo secret >"$directory/secret"
ln -s ../secret "$root/out"
sum_of() { sha256sum <"$1" | cut -d' ' -f1; }
big=$(sum_of "$root/big")
small=$(sum_of "$root/small")

wire=tap:tl0,peer=192.0.2.1/24,peer6=2001:db8::1/64
host=(--wire "$wire" --ip 192.0.2.2/24 --ip6 2001:db8::2/64)
limit=$((60 + mebibytes))

# The links, by what they lose; reordering on the worst of them, and on one without loss.
links=(none reorder=1%,delay=1ms loss=0.1%,delay=1ms loss=1%,delay=1ms,reorder=1% loss=5%,delay=1ms,reorder=1%)
# What a link loses takes its time, so less is sent over it: with 5 % lost, CUBIC carries about 4 MB/s here.
declare -A share=([${links[1]}]=2 [${links[2]}]=4 [${links[3]}]=16 [${links[4]}]=32)
file_for() {  # file_for LINK: a file for it
  local part
  if [ "$1" = none ]; then
    echo big
  elif [ "$mebibytes" -lt 1000 ]; then
    echo small
  else
    part=part$((mebibytes / share[$1]))
    [ -e "$root/$part" ] || head -c "${part#part}M" "$root/big" >"$root/$part"
    echo "$part"
  fi
}
options_for() {  # options_for LINK
  [ "$1" = none ] || echo "--impair $1 --seed 11"
}

fetch() {  # fetch URL SUM [curl arguments]
  local url=$1 sum=$2
  shift 2
  timeout "$limit" curl --silent --show-error --fail -o "$directory/got/curl" "$@" "$url" || fail "curl $*: $url"
  [ "$(sum_of "$directory/got/curl")" = "$sum" ] || fail "curl got something else from $url"
}
for link in "${links[@]}"; do
  file=$(file_for "$link")
  start serve serve "$root" "${host[@]}" $(options_for "$link")
  sum=$(sum_of "$root/$file")
  fetch "http://192.0.2.2/$file" "$sum"
  fetch "http://[2001:db8::2]/$file" "$sum" -g
  if [ "$link" = none ]; then
    fetch http://192.0.2.2/small "$small" --no-progress-meter --parallel --next -s -o "$directory/got/second" http://192.0.2.2/small
    [ "$(sum_of "$directory/got/second")" = "$small" ] || fail "the second download of two differs"
    # What curl says of each: status, size, connections made.
    check() {  # check EXPECTED CURL-ARGUMENTS...
      local expected=$1 said
      shift
      said=$(timeout 20 curl -s -o "$directory/got/body" -w '%{http_code} %{size_download} %{num_connects}' "$@") ||
        [[ $said = "$expected" ]] || fail "curl $*: '$said'"
      [ "$said" = "$expected" ] || fail "curl $*: '$said', not '$expected'"
    }
    check '206 100 1' -r 1000-1099 http://192.0.2.2/small
    cmp "$directory/got/body" <(tail -c +1001 "$root/small" | head -c 100) || fail "another range"
    check '206 10 1' -r -10 http://192.0.2.2/small
    check '416 26 1' -r 3000000- http://192.0.2.2/small
    check '200 6 1' http://192.0.2.2/sub/
    check '301 22 1' http://192.0.2.2/sub
    check '404 14 1' http://192.0.2.2/none
    check '405 23 1' -X POST -d x http://192.0.2.2/small
    check '400 16 1' --path-as-is http://192.0.2.2/../secret
    check '400 16 1' --path-as-is http://192.0.2.2/%2e%2e/secret
    check '403 14 1' http://192.0.2.2/out
    check '200 0 1' -I http://192.0.2.2/small
    connects=$(curl -s -w '%{num_connects}' -o /dev/null -o /dev/null http://192.0.2.2/sub/ http://192.0.2.2/sub/)
    [ "$connects" = 10 ] || fail "the connection was not kept: $connects"
    # A download is broken off, and goes on from there.
    head -c 1000000 "$root/small" >"$directory/got/curl"
    fetch http://192.0.2.2/small "$small" -C -
    printf 'rubbish\r\n\r\n' | timeout 5 bash -c 'exec 3<>/dev/tcp/192.0.2.2/80; cat >&3; cat <&3' |
      grep -q '^HTTP/1.1 400' || fail "rubbish is not answered with 400"
  fi
  stop "$last_child"
  echo "curl from serve, link '$link': the same bytes"
done

cat >"$directory/nginx.conf" <<CONF
worker_processes 1;
user root;
daemon off;
pid $directory/nginx.pid;
error_log $directory/nginx.log;
events { worker_connections 64; }
http {
  access_log off;
  sendfile on;
  client_body_temp_path $directory/body;
  proxy_temp_path $directory/proxy;
  fastcgi_temp_path $directory/fastcgi;
  uwsgi_temp_path $directory/uwsgi;
  scgi_temp_path $directory/scgi;
  server { listen 8080; listen [::]:8080; root $root; }
}
CONF
nginx -c "$directory/nginx.conf" 2>/dev/null &
children+=($!)
for _ in $(seq 100); do
  curl -s -o /dev/null http://127.0.0.1:8080/small && break
  sleep 0.05
done

get() {  # get URL SUM ARGUMENTS...
  local url=$1 sum=$2
  shift 2
  rm -f "$directory/got/file"
  timeout "$limit" "$tideline" get "$url" -o "$directory/got/file" --json "$@" >"$directory/get.log" 2>&1 ||
    fail "get $url $*: exit status $?"
  [ "$(sum_of "$directory/got/file")" = "$sum" ] || fail "get got something else from $url"
  [ ! -e "$directory/got/file.part" ] || fail "a part is left"
}
ours4=(--wire "$wire" --ip 192.0.2.2/24)
ours6=(--wire "$wire" --ip6 2001:db8::2/64)
for link in "${links[@]}"; do
  file=$(file_for "$link")
  sum=$(sum_of "$root/$file")
  if [ "$link" = none ]; then
    get "http://192.0.2.1:8080/$file" "$sum" "${ours4[@]}"
    get "http://[2001:db8::1]:8080/$file" "$sum" "${ours6[@]}"
  else
    # What nginx sends is spoiled too: a relay stands between.
    start relay relay "$wire" shm:http --impair "$link" --seed 11
    relay=$last_child
    get "http://192.0.2.1:8080/$file" "$sum" --wire shm:http --ip 192.0.2.2/24
    get "http://[2001:db8::1]:8080/$file" "$sum" --wire shm:http --ip6 2001:db8::2/64
    kill -INT "$relay"
    wait "$relay" || fail "exit status $? of the relay"
  fi
  echo "get from nginx, link '$link': the same bytes"
done

# A part that is there is not asked for again, unless the file is another by now.
rm -f "$directory/got/file"
head -c 2000000 "$root/small" >"$directory/got/file.part"
tag=$(curl -sI http://127.0.0.1:8080/small | tr -d '\r' | sed -n 's/^ETag: //p')
set_version() {  # set_version VERSION: of the part
  python3 -c 'import os,sys; os.setxattr(sys.argv[1], "user.tideline.version", sys.argv[2].encode())' \
    "$directory/got/file.part" "$1"
}
if set_version "$tag" 2>"$directory/attributes.log"; then
  get http://192.0.2.1:8080/small "$small" "${ours4[@]}"
  python3 -c 'import json,sys; r=json.load(open(sys.argv[1])); assert r["resumed_at"]==2000000 and r["received_bytes"]==1000000, r' \
    "$directory/get.log" || fail "the part was asked for again"
  head -c 2000000 "$root/big" >"$directory/got/file.part"
  set_version '"other"'
  get http://192.0.2.1:8080/small "$small" "${ours4[@]}"
  echo "a part is continued, another file's is not"
else
  grep -q 'Operation not supported' "$directory/attributes.log" || fail "no attribute can be set"
  echo "NOT TESTED: that a part is continued; there are no attributes on $directory"
fi

# A server that breaks off after 700000 bytes, gives no more than 500000 of what is asked for, or gives parts to whom
# asked for none. Whatever lay in FILE.part, longer than the file, is gone.
cat >"$directory/server.py" <<'PYTHON'
import http.server, sys
data = open(sys.argv[1], "rb").read()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_GET(self):
        asked = self.headers.get("Range")
        if self.path == "/unasked" or asked:
            begin = int(asked.split("=")[1].rstrip("-")) if asked else 0
            part = data[begin:begin + 500000]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{begin + len(part) - 1}/{len(data)}")
        else:
            part = data[:700000]
            self.send_response(200)
        length = len(part) if self.path != "/file" or asked else len(data)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", '"1"')
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(part)
        self.close_connection = True
http.server.HTTPServer(("0.0.0.0", 8082), Handler).serve_forever()
PYTHON
python3 "$directory/server.py" "$root/small" 2>"$directory/server.log" &
children+=($!)
for _ in $(seq 100); do
  curl -s -o /dev/null http://127.0.0.1:8082/file && break
  sleep 0.05
done
rm -f "$directory/got/file"
head -c 5000000 /dev/zero >"$directory/got/file.part"
timeout 60 "$tideline" get http://192.0.2.1:8082/file -o "$directory/got/file" "${ours4[@]}" >"$directory/get.log" 2>&1 ||
  fail "a server that gives parts: exit status $?"
[ "$(sum_of "$directory/got/file")" = "$small" ] || fail "the parts of the server do not make the file"
status=0
timeout 60 "$tideline" get http://192.0.2.1:8082/unasked -o "$directory/got/unasked" "${ours4[@]}" >"$directory/get.log" 2>&1 ||
  status=$?
[ $status -eq 4 ] && [ ! -e "$directory/got/unasked" ] && [ ! -e "$directory/got/unasked.part" ] ||
  fail "a part was taken for the whole: exit status $status"
echo "parts are put together, and none is taken for the whole"

expect 4 '404' get http://192.0.2.1:8080/none -o "$directory/got/none" "${ours4[@]}"
expect 4 'refuse' get http://192.0.2.1:8081/none -o "$directory/got/none" "${ours4[@]}"
expect 2 'no URL' get ftp://192.0.2.1/x "${ours4[@]}"
expect 2 'no file' get http://192.0.2.1/ "${ours4[@]}"
expect 3 'cannot serve' serve "$directory/none" "${ours4[@]}"
echo "errors as they should be"
