//! Where interpreters stand while nobody runs them.
//!
//! An interpreter, with its stack and its reference counts, belongs to the thread that made it; an engine may be moved
//! to another. So the engine keeps a [`Shelved`], which is a place on a shelf of its thread, and what is shelved
//! nowhere is made anew: compiled functions are no more than a cache of their sources. Invariant: an interpreter is
//! taken off the shelf to be used and put back afterwards, so nothing is borrowed meanwhile.
//! An engine dropped on another thread leaves its interpreter to the end of the thread that made it.
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use slab::Slab;

use crate::script::exchange::{Done, Event, Task};
use crate::script::guest::Kind;
use crate::script::interpreter::Interpreter;

/// Threads that have shelved something, ever.
static THREADS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The number of this thread: cheaper to ask for than its `ThreadId`.
    static THREAD: u64 = THREADS.fetch_add(1, Ordering::Relaxed);
    static SHELF: RefCell<Slab<Option<Interpreter>>> = const { RefCell::new(Slab::new()) };
}

fn this_thread() -> u64 {
    // At the very end of a thread it has none any more, and no shelf.
    THREAD.try_with(|number| *number).unwrap_or(u64::MAX)
}

/// The place of one interpreter.
#[derive(Debug)]
pub struct Shelved {
    kind: Kind,
    home: Option<(u64, usize)>,
    generation: u64,
}

impl Shelved {
    /// A place for an interpreter that is made when it is first taken.
    pub fn new(kind: Kind) -> Shelved {
        Shelved { kind, home: None, generation: 0 }
    }

    /// Changes whenever the interpreter is a new one, which knows nothing of what an older one compiled.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the interpreter of this generation belongs to this thread, so that it is the one taken next.
    pub fn is_here(&self) -> bool {
        self.home.is_some_and(|(thread, _)| thread == this_thread())
    }

    /// Takes the interpreter; `None` if it is taken already or there is no memory for one.
    pub fn take(&mut self) -> Option<Interpreter> {
        if let Some((thread, key)) = self.home
            && thread == this_thread()
        {
            return SHELF.with_borrow_mut(|shelf| shelf.get_mut(key).and_then(Option::take));
        }
        let interpreter = Interpreter::new(self.kind)?;
        let key = SHELF.with_borrow_mut(|shelf| shelf.insert(None));
        self.home = Some((this_thread(), key));
        self.generation += 1;
        Some(interpreter)
    }

    /// Puts back what was taken.
    pub fn put(&mut self, interpreter: Interpreter) {
        let Some((_, key)) = self.home else { return };
        SHELF.with_borrow_mut(|shelf| {
            if let Some(place) = shelf.get_mut(key) {
                *place = Some(interpreter);
            }
        });
    }

    /// Takes the interpreter off for good, to be dropped later: the next one taken is new.
    pub fn retire(&mut self) -> Shelved {
        let generation = self.generation;
        let home = self.home.take();
        Shelved { kind: self.kind, home, generation }
    }

    /// Frees some of what an interpreter keeps that was retired; true: little is left, so that it can be dropped.
    pub fn wane(&mut self) -> bool {
        if !self.is_here() {
            return true;
        }
        let Some(mut interpreter) = self.take() else { return true };
        let event = interpreter.begin(Task::Wane);
        self.put(interpreter);
        !matches!(event, Event::Done(Done::Waning))
    }

    /// Drops the interpreter, and with it all it compiled: the next one taken is new.
    pub fn clear(&mut self) {
        let Some((thread, key)) = self.home.take() else { return };
        if thread != this_thread() {
            return;
        }
        // Dropped outside of the borrow. At the end of a thread the shelf may be gone already, with all on it.
        let removed = SHELF.try_with(|shelf| {
            let mut shelf = shelf.try_borrow_mut().ok()?;
            shelf.try_remove(key)
        });
        drop(removed);
    }
}

impl Drop for Shelved {
    fn drop(&mut self) {
        self.clear();
    }
}
