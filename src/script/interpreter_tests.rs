//! Scripts that are suspended, ended and dropped wherever they are.
use crate::script::exchange::{Answer, Done, Event, Task};
use crate::script::guest::Kind;
use crate::script::interpreter::Interpreter;
use crate::script::shelf::Shelved;

fn compile(interpreter: &mut Interpreter, source: &str) -> usize {
    interpreter.exchange.source.replace(source.as_bytes().to_vec());
    match interpreter.begin(Task::Compile) {
        Event::Done(Done::Compiled(slot)) => slot,
        event => panic!("{event:?}"),
    }
}

/// Runs a script whose commands all answer `+x`; its reply, or its error after `!`.
fn run(interpreter: &mut Interpreter, source: &str) -> String {
    let slot = compile(interpreter, source);
    let event = interpreter.begin(Task::Run { slot });
    end_of(interpreter, event)
}

fn end_of(interpreter: &mut Interpreter, first: Event) -> String {
    let mut event = first;
    loop {
        let answer = match event {
            Event::Call => {
                let mut reply = interpreter.exchange.reply.take();
                reply.bytes_mut().extend_from_slice(b"+x\r\n");
                interpreter.exchange.reply.replace(reply);
                Answer::Reply
            }
            Event::Done(Done::Replied { .. }) => {
                let result = interpreter.exchange.result.take();
                return String::from_utf8_lossy(result.bytes()).trim_end().replace("\r\n", " ");
            }
            Event::Done(Done::Failed(failed)) => {
                return format!("!{}", String::from_utf8_lossy(&failed.text));
            }
            Event::Done(done) => panic!("{done:?}"),
            Event::Tick => Answer::Go,
            Event::MayRun | Event::Debug(_) => Answer::Truth(true),
        };
        event = interpreter.answer(answer);
    }
}

/// Scripts that stop in the midst of calls of C, and after them.
const DEEP: &[&str] = &[
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "while true do xpcall(function() error('x') end, function() while true do end end) end",
    "local c = coroutine.wrap(function() while true do end end) c()",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "table.sort({1, 2, 3}, function() while true do end end)",
    "string.gsub('abc', '.', function() while true do end end)",
    "local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
    "while true do redis.call('x') end",
    "while true do redis.pcall('x') pcall(redis.call, 'x') end",
];

#[test]
fn calls_go_through_everything() {
    let mut interpreter = Interpreter::new(Kind::Scripts).expect("memory for a stack");
    for (source, wanted) in [
        ("return redis.call('a')", "+x"),
        ("return {pcall(redis.call, 'a')}", "*2 :1 +x"),
        ("return (string.gsub('ab', '.', function() return redis.call('a').ok end))", "$2 xx"),
        ("return coroutine.wrap(function() return redis.call('a') end)()", "+x"),
        ("local t = setmetatable({}, {__index = redis.call}) return t.a", "!ERR "),
        (
            "local t = {3, 1, 2} table.sort(t, function(a, b) redis.call('a') return a < b end) \
          return t",
            "*3 :1 :2 :3",
        ),
        ("redis.call()", "!ERR Please specify at least one argument for this redis lib call"),
        (
            "return nosuch",
            "!ERR user_script:1: Script attempted to access nonexistent global \
          variable 'nosuch'",
        ),
    ] {
        let got = run(&mut interpreter, source);
        assert!(got.starts_with(wanted), "{source}: {got}");
    }
}

#[test]
fn whatever_runs_ends_when_it_is_told_to() {
    let mut interpreter = Interpreter::new(Kind::Scripts).expect("memory for a stack");
    for source in DEEP {
        let slot = compile(&mut interpreter, source);
        let event = interpreter.begin(Task::Run { slot });
        assert!(matches!(event, Event::Tick | Event::Call), "{source}: {event:?}");
        interpreter.end("ERR the end");
        assert!(interpreter.is_idle(), "{source}");
        assert_eq!(run(&mut interpreter, "return 1"), ":1", "after {source}");
    }
}

#[test]
fn an_interpreter_can_be_dropped_anywhere() {
    for source in DEEP {
        let mut interpreter = Interpreter::new(Kind::Scripts).expect("memory for a stack");
        let slot = compile(&mut interpreter, source);
        interpreter.begin(Task::Run { slot });
        drop(interpreter);
    }
    drop(Interpreter::new(Kind::Functions));
}

#[test]
fn scripts_leave_nothing_behind() {
    let mut interpreter = Interpreter::new(Kind::Scripts).expect("memory for a stack");
    for source in [
        "redis.call = 1",
        "rawset(redis, 'call', 1)",
        "setmetatable(redis, {})",
        "setmetatable(_G, {__index = function() return 1 end})",
        "getmetatable(_G).__index = 1",
        "getmetatable('').__index = 1",
        "string.rep = 1",
        "for k in pairs(redis) do redis[k] = nil end",
        "x = 1",
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "cjson.encode = 1",
        "cjson.decode = nil",
        "table.insert = 1",
        "getmetatable(getmetatable(_G)).__index = 1",
        "setmetatable(string, nil)",
    ] {
        let got = run(&mut interpreter, source);
        assert!(
            got.contains("Attempt to modify a readonly table") || got.contains("nil value"),
            "{source}: {got}"
        );
    }
    // The table library does not ask metatables: what it leaves is swept away.
    run(&mut interpreter, "table.insert(redis, 'left')");
    for _ in 0..60 {
        run(&mut interpreter, "return 1");
    }
    assert_eq!(run(&mut interpreter, "return redis[1] == nil"), ":1");
    // Compiled code is not taken.
    let got = run(&mut interpreter, "return {loadstring(string.dump(function() end))}");
    assert_eq!(got, "*0");
    let got = run(
        &mut interpreter,
        "local d = string.dump(function() end) local i = 0 \
        return {load(function() i = i + 1 return i <= #d and d:sub(i, i) or nil end)}",
    );
    assert_eq!(got, "*0");
}

#[test]
fn many_scripts_and_long_calls_take_no_handles() {
    let mut interpreter = Interpreter::new(Kind::Scripts).expect("memory for a stack");
    for number in 0..10_000 {
        compile(&mut interpreter, &format!("return {number}"));
    }
    let got = run(
        &mut interpreter,
        "local t = {} for i = 1, 7900 do t[i] = i end \
        return redis.call(unpack(t))",
    );
    assert_eq!(got, "+x");
    let nested = run(&mut interpreter, "local a = {} a[1] = a return a");
    assert_eq!(nested.matches("*1").count(), 7995);
    assert!(nested.ends_with("-ERR reached lua stack limit"));
}

#[test]
fn a_place_on_another_thread_makes_its_own() {
    let mut shelved = Shelved::new(Kind::Scripts);
    let interpreter = shelved.take().expect("memory for a stack");
    assert!(shelved.take().is_none(), "it is taken");
    shelved.put(interpreter);
    let (first, mut shelved) = std::thread::spawn(move || {
        let first = shelved.generation();
        let mut interpreter = shelved.take().expect("memory for a stack");
        assert_eq!(run(&mut interpreter, "return 1"), ":1");
        shelved.put(interpreter);
        (first, shelved)
    })
    .join()
    .expect("no panic");
    assert_ne!(shelved.generation(), first);
    assert!(!shelved.is_here());
    shelved.clear();
    assert!(shelved.take().is_some());
}

#[test]
fn libraries_register_and_are_called() {
    let mut interpreter = Interpreter::new(Kind::Functions).expect("memory for a stack");
    let load = |interpreter: &mut Interpreter, source: &str| {
        interpreter.exchange.source.replace(source.as_bytes().to_vec());
        interpreter.begin(Task::Load)
    };
    let source = "local n = 0 redis.register_function('f', function(keys, args) n = n + 1 \
                  return {n, redis.call('x'), #keys, #args} end)";
    let Event::Done(Done::Loaded(list)) = load(&mut interpreter, source) else { panic!() };
    let slot = list.first().map_or(0, |registration| registration.slot);
    for wanted in ["*4 :1 +x :0 :0", "*4 :2 +x :0 :0"] {
        let event = interpreter.begin(Task::Call { slot });
        assert_eq!(end_of(&mut interpreter, event), wanted);
    }
    let event = load(&mut interpreter, "return math.random()");
    let Event::Done(Done::Failed(failed)) = event else { panic!("{event:?}") };
    let text = String::from_utf8_lossy(&failed.text).into_owned();
    assert!(text.contains("nonexistent global variable 'math'"), "{text}");
    assert!(matches!(interpreter.begin(Task::Forget { slot }), Event::Done(Done::Forgotten)));
    assert!(matches!(interpreter.begin(Task::Call { slot }), Event::Done(Done::Missing)));
}

#[test]
fn what_is_retired_is_freed_in_slices() {
    let mut shelved = Shelved::new(Kind::Scripts);
    let mut interpreter = shelved.take().unwrap();
    compile(&mut interpreter, "return 0");
    let least_bytes = interpreter.exchange.memory_bytes.get();
    for number in 0..2000 {
        interpreter.exchange.source.replace(format!("return {number}").into_bytes());
        assert!(matches!(interpreter.begin(Task::Compile), Event::Done(Done::Compiled(_))));
    }
    let full_bytes = interpreter.exchange.memory_bytes.get();
    shelved.put(interpreter);
    let mut old = shelved.retire();
    assert!(!shelved.is_here() && old.is_here());
    let mut steps = 0;
    while !old.wane() {
        steps += 1;
        assert!(steps < 100_000, "it does not end");
    }
    // 32 functions in each step, and then more to sweep.
    assert!(steps > 2000 / 32, "{steps}");
    let left_bytes = old.take().unwrap().exchange.memory_bytes.get();
    let least_bytes = least_bytes + (full_bytes - least_bytes) / 3;
    assert!(left_bytes < least_bytes, "{left_bytes} of {full_bytes}, less than {least_bytes}");
}
