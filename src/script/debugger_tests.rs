//! The debugger without a socket: what is heard is cut into commands, and an interpreter is led through a script.
use crate::script::debugger::{Debugger, Found};
use crate::script::exchange::{Answer, DebugEvent, Done, Event, Task};
use crate::script::guest::Kind;
use crate::script::interpreter::Interpreter;

fn hearing(heard: &[u8]) -> Debugger {
    let mut debugger = Debugger::default();
    debugger.heard.extend_from_slice(heard);
    debugger
}

fn found(heard: &[u8]) -> Found {
    hearing(heard).take_command()
}

#[test]
fn commands_are_cut_as_loosely_as_redis_does() {
    let words =
        |words: &[&str]| Found::Command(words.iter().map(|w| w.as_bytes().to_vec()).collect());
    assert_eq!(found(b"*1\r\n$1\r\ns\r\n"), words(&["s"]));
    assert_eq!(found(b"junk*2\r\n$1\r\nb\r\n$2\r\n12\r\nmore"), words(&["b", "12"]));
    let whole = b"*2\r\n$1\r\nb\r\n$2\r\n12\r\n";
    for len in 0..whole.len() {
        assert_eq!(found(&whole[..len]), Found::Unfinished, "{len}");
    }
    for broken in [
        &b"PING\r\n"[..],
        b"\0*1\r\n$1\r\ns\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*1025\r\n",
        b"*99999999999999999999\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n$0\r\n\r\n",
        b"*1\r\n$1025\r\n",
        b"*1\r\n$1\r\nabc\r\n",
    ] {
        assert_eq!(found(broken), Found::Broken, "{}", broken.escape_ascii());
    }
    // A NUL is where Redis stops looking for the end of a line.
    assert_eq!(found(b"*1\0\r\n$1\r\ns\r\n"), Found::Unfinished);
    assert_eq!(found(b"*1\r\n\0$1\r\ns\r\n"), Found::Unfinished);
}

#[test]
fn what_was_heard_is_forgotten_with_its_first_command() {
    let mut debugger = hearing(b"*1\r\n$1\r\ns\r\n*1\r\n$1\r\nn\r\n");
    assert!(matches!(debugger.take_command(), Found::Command(_)));
    assert_eq!(debugger.take_command(), Found::Unfinished);
}

#[test]
fn lines_are_counted_without_those_at_the_end() {
    let mut debugger = Debugger::default();
    for (source, lines) in [("", 0), ("\n\r\n", 0), ("\n\na", 3), ("a\r\nb\r\n\n", 2)] {
        debugger.set_source(source.as_bytes());
        debugger.list_around(1, 1_000_000);
        let said = debugger.take_said();
        assert!(said.starts_with(format!("*{lines}\r\n").as_bytes()), "{source:?}");
        assert_eq!(said.iter().filter(|&&byte| byte == b'\n').count(), lines + 1);
    }
}

#[test]
fn breakpoints_are_removed_one_at_a_time() {
    let mut debugger = Debugger::default();
    debugger.set_source(&b"x\n".repeat(100));
    let words = |text: &str| text.split(' ').map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>();
    debugger.set_breakpoints(&words("b 3 4 5 6"));
    debugger.set_breakpoints(&words("b -4"));
    let set: Vec<i64> = (1..=100).filter(|&line| debugger.is_breakpoint(line)).collect();
    assert_eq!(set, [3, 5, 6]);
    let all: Vec<String> = (1..=100).map(|line| line.to_string()).collect();
    debugger.set_breakpoints(&words(&format!("b {}", all.join(" "))));
    assert_eq!((1..=100).filter(|&line| debugger.is_breakpoint(line)).count(), 64);
    debugger.set_breakpoints(&words("b 0"));
    assert!(!debugger.is_breakpoint(3));
}

/// Leads an interpreter through a script; what it said, and how it ended. A line of `commands` is one that is heard,
/// and after the last the client is gone.
fn lead(source: &str, commands: &[&str]) -> (String, Event) {
    let mut interpreter = Interpreter::new(Kind::Debugged).unwrap();
    let exchange = interpreter.exchange.clone();
    exchange.source.replace(source.as_bytes().to_vec());
    let Event::Done(Done::Compiled(slot)) = interpreter.begin(Task::Compile) else {
        panic!("not compiled")
    };
    exchange.debugger.borrow_mut().set_source(source.as_bytes());
    let (mut said, mut commands) = (Vec::new(), commands.iter());
    let mut event = interpreter.begin(Task::Run { slot });
    loop {
        let answer = match event {
            Event::Done(_) => break,
            Event::Debug(DebugEvent::Say) => {
                said.extend(exchange.debugger.borrow_mut().take_said());
                Answer::Go
            }
            Event::Debug(DebugEvent::Hear) => match commands.next() {
                None => Answer::Truth(false),
                Some(command) => {
                    let words: Vec<&str> = command.split(' ').collect();
                    let heard = &mut exchange.debugger.borrow_mut().heard;
                    heard.extend(format!("*{}\r\n", words.len()).into_bytes());
                    for word in words {
                        heard.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
                    }
                    Answer::Truth(true)
                }
            },
            // Every wait is too long here.
            Event::Debug(DebugEvent::Tick) => Answer::Truth(true),
            Event::Call => Answer::Refused(b"ERR no commands here".to_vec()),
            Event::MayRun | Event::Tick => Answer::Truth(true),
        };
        event = interpreter.answer(answer);
    }
    (String::from_utf8(said).unwrap(), event)
}

#[test]
fn a_script_is_led_line_by_line() {
    let script = "local a = {1, 'x'}\nlocal b = a\nreturn 1";
    let (said, event) = lead(script, &["step", "print a", "print", "continue"]);
    assert!(said.contains("-> 1   local a = {1, 'x'}"), "{said}");
    assert!(said.contains("+<value> {1; \"x\"}\r\n"), "{said}");
    assert!(said.contains("+<value> a = {1; \"x\"}\r\n"), "{said}");
    assert!(!said.contains("Stopped at 3"), "{said}");
    assert!(matches!(event, Event::Done(Done::Replied { .. })));
}

#[test]
fn nobody_there_to_lead_lets_it_run() {
    let (said, event) = lead("local a = 1\nredis.breakpoint()\nlocal b = 2\nreturn b", &[]);
    // It stops where the script asks for it, and goes on.
    assert_eq!(said.matches("* Stopped at").count(), 2, "{said}");
    assert!(matches!(event, Event::Done(Done::Replied { .. })));
    let (said, event) = lead("while true do end", &[]);
    assert!(said.contains("timeout reached, infinite loop?"), "{said}");
    let Event::Done(Done::Failed(failed)) = event else { panic!("{event:?}") };
    assert!(failed.text.starts_with(b"ERR timeout during Lua debugging"));
}

#[test]
fn the_library_of_lua_is_out_of_reach() {
    let probe =
        "eval type(rawget(_G,'debug')) .. type(rawget(_G,'require')) .. type(rawget(_G,'io'))";
    let (said, _) = lead("return 1", &[probe, "continue"]);
    assert!(said.contains("<retval> \"nilnilnil\""), "{said}");
}

#[test]
fn tables_that_hold_each_other_are_shown_no_longer_than_asked_for() {
    let script = "local t = {}\nfor i = 1, 100 do t[i] = t end\nreturn 1";
    let (said, _) = lead(script, &["b 3", "continue", "print t", "continue"]);
    assert!(said.contains("<value> {{{{"), "{said}");
    assert!(said.contains("<hint> The above reply was trimmed."), "{said}");
}
