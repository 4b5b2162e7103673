#!/bin/bash
# redis-cli and redis-benchmark against a running server: every mode which needs nothing but strings.
#
#   tools.sh PORT UNIX_SOCKET LOG_FILE
#
# The server must log at level verbose to LOG_FILE and have no password; it is shut down at the end. Expectations are
# Redis 7.0.15's (`SERVER=redis-server scripts/clients` proves them). All checks run; the exit code is 1 if one failed.
set -uo pipefail

port=$1
socket=$2
log=$3
cli="redis-cli -p $port"
bench="redis-benchmark -p $port"
checks=0
failed=0

# expect NAME PATTERN TEXT: the text matches the extended regular expression, line by line.
expect() {
  checks=$((checks + 1))
  if ! grep -qE -- "$2" <<<"$3"; then
    failed=$((failed + 1))
    printf -- '--- %s: no match for /%s/ in:\n%s\n' "$1" "$2" "$(head -c 2000 <<<"$3")" >&2
  fi
}

# refuse NAME PATTERN TEXT: the text does not match.
refuse() {
  checks=$((checks + 1))
  if grep -qiE -- "$2" <<<"$3"; then
    failed=$((failed + 1))
    printf -- '--- %s: /%s/ found in:\n%s\n' "$1" "$2" "$(head -c 2000 <<<"$3")" >&2
  fi
}

# A terminal without a width would be asked for its cursor and never answer: hence stty below. In raw mode Enter is a carriage return.
# terminal SECONDS COMMAND…: runs it in a terminal, since redis-cli buffers what goes to a pipe; gives what it printed.
terminal() {
  local seconds=$1
  shift
  timeout "$((seconds + 5))" script -qec "timeout -s INT $seconds $*" /dev/null </dev/null | tr '\r' '\n'
}

commands() {
  $cli flushall >/dev/null
  expect "ping" '^PONG$' "$($cli ping)"
  expect "unix socket" '^PONG$' "$(redis-cli -s "$socket" ping)"
  expect "URL" '^PONG$' "$(redis-cli -u "redis://127.0.0.1:$port/3" ping)"
  expect "value from standard input" '^hello$' "$(printf hello | $cli -x set key >/dev/null; $cli get key)"
  expect "commands from standard input" '^2$' "$(printf 'set n 1\nincr n\n' | $cli | tail -1)"
  expect "other database" '^keys=|^db3:keys=1,' "$($cli -n 3 set key v >/dev/null; $cli info keyspace)"
  expect "CSV" '^"hello",NULL$' "$($cli --csv mget key none)"
  expect "JSON" '^\["hello",null\]$' "$($cli --json mget key none)"
  expect "JSON map" '"maxmemory":"0"' "$($cli --json config get maxmemory)"
  expect "protocol 3" '^maxmemory 0$' "$($cli -3 config get maxmemory)"
  expect "repeated" '^4$' "$($cli -r 3 -i 0.05 incr count >/dev/null; $cli incr count)"
  expect "error status" '^status 1$' "$($cli -e incr key >/dev/null 2>&1; echo "status $?")"
  expect "unknown command" "^ERR unknown command 'nosuch', with args beginning with: 'a'" "$($cli nosuch a)"
}

passwords() {
  $cli config set requirepass secret >/dev/null
  expect "no password" '^NOAUTH Authentication required' "$($cli ping)"
  expect "password" '^PONG$' "$($cli --no-auth-warning -a secret ping)"
  expect "user" '^PONG$' "$($cli --no-auth-warning --user default --pass secret ping)"
  expect "password in the environment" '^PONG$' "$(REDISCLI_AUTH=secret $cli ping)"
  expect "password in the URL" '^PONG$' "$(redis-cli --no-auth-warning -u "redis://default:secret@127.0.0.1:$port" ping)"
  expect "wrong password" '^AUTH failed: WRONGPASS' "$($cli --no-auth-warning -a wrong ping 2>&1)"
  $cli --no-auth-warning -a secret config set requirepass '' >/dev/null
}

modes() {
  local mass
  $cli flushall >/dev/null
  # shellcheck disable=SC2016 # the dollar signs are part of the protocol
  mass=$(awk 'BEGIN { for (i = 0; i < 100000; i++) {
    key = "key:" i; printf "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", length(key), key, length(i), i } }' |
    $cli --pipe)
  expect "mass insertion" '^errors: 0, replies: 100000$' "$mass"
  expect "all inserted" '^100000$' "$($cli dbsize)"
  expect "scan" '^10$' "$($cli --scan --pattern 'key:1234?' | wc -l)"
  $cli set big "$(printf 'x%.0s' {1..3000})" >/dev/null
  expect "big keys" "Biggest string found .\"big\". has 3000 bytes" "$($cli --bigkeys)"
  expect "memory of keys" "Biggest string found .\"big\". has [0-9]{4} bytes" "$($cli --memkeys)"
  $cli config set maxmemory-policy allkeys-lfu >/dev/null
  $cli set hot v >/dev/null
  for _ in {1..30}; do echo 'get hot'; done | $cli >/dev/null
  expect "hot keys" 'hot key found with counter: [0-9]+.*"hot"' "$($cli --hotkeys)"
  $cli config set maxmemory-policy noeviction >/dev/null
  expect "statistics" '^100002 +[0-9.]+[KMG] +[0-9]+ +0 +[0-9]+ \(\+' "$(terminal 1 "$cli --stat -i 0.1")"
  expect "latency" 'min: [0-9]+, max: [0-9]+, avg: ' "$(terminal 1 "$cli --latency")"
  expect "latency history" 'min: [0-9]+.*seconds range' "$(terminal 2 "$cli --latency-history -i 1")"
  local session
  session=$({ sleep 0.3; printf 'get hot\r'; sleep 0.3; printf 'help incrby\r'; sleep 0.3; printf 'quit\r'; sleep 0.2; } |
    timeout 10 script -qec "stty cols 100 rows 24; $cli" /dev/null | tr '\r' '\n')
  expect "prompt" '^"v"' "$session"
  expect "help from COMMAND DOCS" 'Increment the integer value of a key by the given' "$session"
}

monitor() {
  local seen
  seen=$(mktemp)
  $cli monitor >"$seen" &
  local watcher=$!
  for _ in {1..50}; do
    grep -q OK "$seen" && break
    sleep 0.05
  done
  $cli -n 2 set watched 'a "quoted" value' >/dev/null
  sleep 0.2
  kill "$watcher"
  expect "monitor" '^[0-9]+\.[0-9]{6} \[2 127.0.0.1:[0-9]+\] "set" "watched" "a \\"quoted\\" value"$' "$(cat "$seen")"
  rm -f "$seen"
}

# benchmark NAME OPTIONS…: it runs to its end, each test has a result, and nothing is complained about.
benchmark() {
  local name=$1 text
  shift
  text=$(timeout 60 $bench -q "$@" 2>&1 | tr '\r' '\n')
  expect "benchmark: $name" '[0-9.]+ requests per second, p50=' "$text"
  refuse "benchmark: $name" 'error|warn|could not|refused' "$text"
}

benchmarks() {
  local tests=ping_inline,ping_mbulk,set,get,incr,mset text
  $cli flushall >/dev/null
  benchmark "one by one" -t "$tests" -n 5000
  benchmark "pipelines of 16" -t "$tests" -n 20000 -P 16 -r 10000
  benchmark "one client, pipelines of 64" -t "$tests" -n 20000 -P 64 -c 1
  benchmark "1000 clients" -t set,get -n 10000 -c 1000
  benchmark "32 bytes, two threads" -t set,get -n 5000 -d 32 --threads 2
  benchmark "16 KiB" -t set,get -n 1000 -d 16384 -r 100
  benchmark "1 MiB" -t set,get -n 50 -c 5 -d 1048576 -r 5
  benchmark "protocol 3" -t "$tests" -n 5000 -3 -P 4
  benchmark "unix socket" -s "$socket" -t set,get -n 5000
  benchmark "any command" -n 5000 -r 100 set key:__rand_int__ __rand_int__ ex 100
  text=$($bench --csv -t "$tests" -n 1000 2>&1)
  expect "benchmark: CSV" '^"MSET \(10 keys\)","[0-9.]+"' "$text"
  refuse "benchmark: CSV" 'error|warn|could not' "$text"
}

ending() {
  $cli config set loglevel warning >/dev/null
  $cli client id >/dev/null
  $cli config set loglevel verbose >/dev/null
  $cli ping >/dev/null
  expect "arrivals are logged" '^[0-9]+:M [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:.]{12} - Accepted 127.0.0.1:[0-9]+' "$(cat "$log")"
  expect "departures are logged" ' - Client closed connection id=[0-9]+ addr=127.0.0.1:.* cmd=ping' "$(cat "$log")"
  refuse "a higher loglevel hides them" 'cmd=client\|id' "$(cat "$log")"
  $cli shutdown nosave
  for _ in {1..50}; do
    $cli ping >/dev/null 2>&1 || break
    sleep 0.1
  done
  expect "shutdown" 'Could not connect' "$($cli ping 2>&1)"
  expect "the end is logged" ' # .* is now ready to exit, bye bye' "$(cat "$log")"
  refuse "the log holds no panic" 'panicked|crashed' "$(cat "$log")"
}

commands
passwords
modes
monitor
benchmarks
ending

if ((failed)); then
  echo "redis-cli and redis-benchmark: $failed of $checks checks failed" >&2
  exit 1
fi
echo "$(redis-cli --version), redis-benchmark: $checks checks passed"
