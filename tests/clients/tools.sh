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
cli_words=(redis-cli -p "$port")
bench="redis-benchmark -p $port"
checks=0
failed=0
waiting=()

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
  expect "distribution of latency" '^From 0 to 100%: ' "$(terminal 2 "$cli --latency-dist -i 1" | head -c 4000)"
  expect "latency in one line" '^[0-9]+ [0-9]+ [0-9.]+ [0-9]+$' "$(timeout 10 "${cli_words[@]}" --latency -i 1 --raw </dev/null)"
  expect "latency as CSV" '^[0-9]+,[0-9]+,[0-9.]+,[0-9]+$' "$(timeout 10 "${cli_words[@]}" --latency -i 1 --csv </dev/null)"
  expect "latency of this machine" '[0-9]+ total runs \(avg latency: ' "$(timeout 20 redis-cli --intrinsic-latency 1)"
  local session
  session=$({ sleep 0.3; printf 'get hot\r'; sleep 0.3; printf 'help incrby\r'; sleep 0.3; printf 'quit\r'; sleep 0.2; } |
    timeout 10 script -qec "stty cols 100 rows 24; $cli" /dev/null | tr '\r' '\n')
  expect "prompt" '^"v"' "$session"
  expect "help from COMMAND DOCS" 'Increment the integer value of a key by the given' "$session"
}

# typed SECONDS KEYS…: types these keys (`\t` is Tab, `\r` Enter) at the prompt of redis-cli, and gives all it printed.
typed() {
  {
    # Until it has read COMMAND DOCS and shows its prompt.
    sleep 1.5
    for keys in "$@"; do
      # shellcheck disable=SC2059 # the keys are the format
      printf "$keys"
      sleep 0.4
    done
    printf 'quit\r'
    sleep 0.2
  } | timeout 15 script -qec "stty cols 160 rows 24; $cli" /dev/null | sed $'s/\x1b\\[[0-9;]*[A-Za-z]//g' | tr '\r' '\n'
}

# What redis-cli makes of COMMAND DOCS: hints beside what is typed, words that Tab completes, `help`.
prompts() {
  $cli flushall >/dev/null
  local seen
  seen=$(typed 'getex ' 'k \003')
  expect "hint" 'getex .*key \[EX seconds\|PX milliseconds\|EXAT unix-time-seconds\|PXAT unix-time-milliseconds\|PERSIST\]' "$seen"
  expect "hint for the rest" 'getex k .*\[EX seconds\|PX milliseconds' "$seen"
  expect "hint of a subcommand" 'config set .*parameter value \[parameter value \.\.\.\]' "$(typed 'config set ')"
  expect "hint of many keys" 'zunion .*numkeys key \[key \.\.\.\]' "$(typed 'zunion ')"
  expect "hint after an option" 'set k v .*\[NX\|XX\]|set k v .*\[NX\|XX\|' "$(typed 'set k v ')"
  expect "Tab completes a command" 'GETRANGE|getrange' "$(typed 'getra\t')"
  expect "Tab completes a subcommand" 'client no-evict|CLIENT NO-EVICT' "$(typed 'client no-e\t')"
  seen=$(typed 'help @list\r')
  expect "help of a group: a command" 'LMPOP numkeys key \[key \.\.\.\] LEFT\|RIGHT \[COUNT count\]' "$seen"
  expect "help of a group: since" 'since: 7.0.0' "$seen"
  seen=$(typed 'help client kill\r')
  expect "help of a subcommand" 'summary: Kill the connection of a client' "$seen"
  expect "help of a subcommand: group" 'group: connection' "$seen"
  expect "Tab completes help" 'help @hyperloglog' "$(typed 'help @hyp\t')"
  expect "reply as it comes" '1\) "a"' "$(typed 'rpush list a b\r' 'lrange list 0 -1\r')"
  expect "repeated at the prompt" '\(integer\) 3' "$(typed '3 incr n\r')"
  expect "another protocol" '1# ' "$(typed 'hello 3\r')"
  expect "another database" '\[5\]>' "$(typed 'select 5\r' 'ping\r')"
}

# Keys of every type, as the modes that look at all keys report them.
collections() {
  $cli flushall >/dev/null
  {
    echo "set text $(printf 'x%.0s' {1..2000})"
    echo "rpush list $(seq -s ' ' 1 300)"
    echo "sadd set $(seq -s ' ' 1 200)"
    echo "hset hash $(seq -s ' ' 1 200)"
    echo "zadd zset $(seq -s ' ' 1 120)"
    for number in 1 2 3 4 5; do echo "xadd stream * f $number"; done
  } | $cli >/dev/null
  local seen
  for seen in "$($cli --bigkeys)" "$($cli -3 --bigkeys)"; do
    expect "big string" '^Biggest string found .*"text". has 2000 bytes' "$seen"
    expect "big list" '^Biggest +list found .*"list". has 300 items' "$seen"
    expect "big set" '^Biggest +set found .*"set". has 200 members' "$seen"
    expect "big hash" '^Biggest +hash found .*"hash". has 100 fields' "$seen"
    expect "big sorted set" '^Biggest +zset found .*"zset". has 60 members' "$seen"
    expect "big stream" '^Biggest stream found .*"stream". has 5 entries' "$seen"
    expect "all keys looked at" '^Sampled 6 keys in the keyspace!' "$seen"
    expect "share of a type" '^1 streams with 5 entries \(16.67% of keys, avg size 5.00\)' "$seen"
  done
  seen=$($cli --memkeys --memkeys-samples 0)
  expect "memory by type" '^1 +hashs? with [0-9]+ bytes \(16.67% of keys' "$seen"
  expect "scan, all" '^6$' "$($cli --scan | wc -l)"
  expect "scan, quoted" '^"(text|list|set|hash|zset|stream)"$' "$($cli --scan --quoted-pattern '*' | head -1 | sed 's/^[^"].*/"&"/')"
  expect "CSV of nested values" '^"stream","[0-9]+-[0-9]+","f","1"|^"[0-9]+-[0-9]+","f","1"' "$($cli --csv xrange stream - + count 1)"
  expect "JSON of a map" '^\{("[0-9]+":"[0-9]+",?)+\}$' "$($cli --json hgetall hash)"
  expect "JSON of protocol 2" '^\["[0-9]+","[0-9]+"' "$($cli -2 --json hgetall hash)"
  expect "quoted JSON" '"[0-9]+":"[0-9]+"' "$($cli --quoted-json hgetall hash)"
  expect "doubles of protocol 3" '^1\.5$' "$($cli -3 zadd zset 1.5 m >/dev/null; $cli -3 zscore zset m)"
  expect "no line ends" 'a;b' "$($cli rpush two a b >/dev/null; $cli -d ';' lrange two 0 -1)"
  expect "a pipe with an error" '^errors: 1, replies: 3$' "$(printf 'set a 1\r\nlpush a 1\r\nincr a\r\n' | $cli --pipe 2>/dev/null)"
}

# has COMMAND: whether the server knows it.
has() {
  [[ -n $($cli command info "$1" | head -1) ]]
}

# debugged MODE FILE COMMANDS: what redis-cli shows of a session.
debugged() {
  printf "$3" | timeout 10 "${cli_words[@]}" "$1" --eval "$2" key , value 2>&1
}

# The debugger of scripts, FILE being any script.
debugger() {
  local file=$1 seen
  printf '%s\n' "local t = {1, {x = 'y'}}" "redis.call('set', KEYS[1], ARGV[1])" "return t" >"$file"
  seen=$(debugged --ldb "$file" 'continue\nquit\n')
  expect "a debugger of scripts" '\* Stopped at 1, stop reason = step over' "$seen"
  expect "the end of its session" 'Lua debugging session ended -- dataset changes rolled back' "$seen"
  expect "nothing changed by it" '^0$' "$($cli exists key)"
  seen=$(debugged --ldb-sync-mode "$file" 's\np\ns\ntrace\nbreak 3\nwhole\nc\nquit\n')
  expect "a value in it" "^.*<value> .*t = \{1; \{.*\"x\".*=\"y\"\}\}" "$seen"
  expect "a command in it" '<redis> .*set key value' "$seen"
  expect "a breakpoint in it" '#3   return t' "$seen"
  expect "the end where it is held" 'Lua debugging session ended\)' "$seen"
  expect "what it changed" '^value$' "$($cli get key)"
  $cli del key >/dev/null
  expect "its restart" '^2$' "$(debugged --ldb "$file" 's\nrestart\ns\nquit\n' | grep -c 'session started')"
  echo 'return )' >"$file"
  expect "a script it cannot start" "can't start" "$(debugged --ldb "$file" '')"
}

# What needs parts that a server may lack; one that is there is tried.
further() {
  local file
  file=$(mktemp)
  if has eval; then
    echo 'return {KEYS[1], ARGV[1]}' >"$file"
    expect "a script from a file" '^k$' "$($cli --eval "$file" k , v | head -1)"
  fi
  if has eval; then
    debugger "$file"
  else
    waiting+=("--ldb (a debugger of scripts)")
  fi
  has eval || waiting+=("--eval (scripts)")
  if has sync; then
    expect "a snapshot" 'Transfer finished with success' "$($cli --rdb "$file" 2>&1)"
    expect "as a replica" 'SYNC with master|sending REPLCONF' "$(terminal 2 "$cli --replica" | head -c 4000)"
  else
    waiting+=("--rdb (persistence)" "--replica (replication)")
  fi
  if has subscribe; then
    expect "subscriber" '^subscribe$' "$(timeout 1 "${cli_words[@]}" subscribe channel)"
  else
    waiting+=("subscribe")
  fi
  rm -f "$file"
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
prompts
collections
further
monitor
benchmarks
ending

if ((failed)); then
  echo "redis-cli and redis-benchmark: $failed of $checks checks failed" >&2
  exit 1
fi
echo "$(redis-cli --version), redis-benchmark: $checks checks passed"
if ((${#waiting[@]})); then
  printf 'waiting for what the server does not have yet: %s\n' "$(printf '%s, ' "${waiting[@]}" | sed 's/, $//')"
fi
