//! The side of the host: begins tasks, answers events, ends what runs.
use std::rc::Rc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};

use crate::script::exchange::{Answer, Done, Event, Exchange, Task};
use crate::script::guest::{self, Kind};

/// Address space of the guest's stack; what is not used takes no memory. Lua itself goes 200 calls of C deep, matching
/// a pattern one per character of it.
const STACK_BYTES: usize = 64 * 1024 * 1024;
/// Asked so often to end, a script has.
const KILLS_MAX: usize = 1_000_000;

/// An interpreter of Lua on a stack of its own. Dropping one ends the script it runs.
pub struct Interpreter {
    coroutine: Coroutine<Answer, Event, ()>,
    /// Buffers shared with the guest.
    pub exchange: Rc<Exchange>,
    is_idle: bool,
}

impl Interpreter {
    /// One without any script; `None` if there is no memory for its stack. It is set up by its first task.
    pub fn new(kind: Kind) -> Option<Interpreter> {
        let stack = DefaultStack::new(STACK_BYTES).ok()?;
        let exchange = Rc::new(Exchange::default());
        let theirs = exchange.clone();
        let body = move |yielder: &_, first| guest::run(yielder, kind, theirs, first);
        Some(Interpreter { coroutine: Coroutine::with_stack(stack, body), exchange, is_idle: true })
    }

    /// Whether no task is under way.
    pub fn is_idle(&self) -> bool {
        self.is_idle
    }

    /// Begins a task, where none is under way. Its inputs lie in the exchange.
    pub fn begin(&mut self, task: Task) -> Event {
        debug_assert!(self.is_idle);
        self.is_idle = false;
        self.resume(Answer::Task(task))
    }

    /// Answers the last event.
    pub fn answer(&mut self, answer: Answer) -> Event {
        self.resume(answer)
    }

    fn resume(&mut self, answer: Answer) -> Event {
        if self.coroutine.done() {
            self.is_idle = true;
            return Event::Done(Done::Missing);
        }
        let event = match self.coroutine.resume(answer) {
            CoroutineResult::Yield(event) => event,
            CoroutineResult::Return(()) => Event::Done(Done::Missing),
        };
        self.is_idle = matches!(event, Event::Done(_));
        event
    }

    /// Ends the task under way, whatever it does.
    pub fn end(&mut self, text: &'static str) {
        let mut kills = 0;
        while !self.is_idle && kills < KILLS_MAX {
            self.resume(Answer::Kill(text));
            kills += 1;
        }
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        self.end("ERR the interpreter is dropped");
        if self.coroutine.started() && !self.coroutine.done() {
            self.resume(Answer::Quit);
        }
    }
}
