//! The libraries of functions with the interpreter that holds what they registered.
//!
//! An interpreter may be lost: it belongs to the thread that made it (`script::shelf`). The code of the libraries is
//! what counts, so a new interpreter is given all of them again before it is used. Between its uses it stands on its
//! shelf; while a function runs it is with whoever runs it, and nothing here changes, since no command that changes
//! libraries may be called from one.
use std::time::Duration;

use crate::base::clock::Clock;
use crate::engine::libraries::{Header, Libraries, Library};
use crate::engine::scripts::Scripts;
use crate::persist::function_payload;
use crate::persist::rdb_format::Reader;
use crate::script::exchange::{Answer, Done, Event, Registration, Task};
use crate::script::interpreter::Interpreter;

/// Longest time a library may take to register its functions.
const LOADING_MAX: Duration = Duration::from_millis(500);
/// What one that takes longer is told.
const TIMEOUT: &str = "ERR FUNCTION LOAD timeout";

/// What RESTORE does with the libraries there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// They are deleted.
    Flush,
    /// They stay; names must differ.
    Append,
    /// Those of the same names are replaced.
    Replace,
}

/// Why libraries were not loaded: what the client is told, without a code.
pub type Refused = Vec<u8>;

/// See the head of the file. The shelf of its interpreter is with those of all scripts ([`Scripts::functions`]).
#[derive(Debug, Default)]
pub struct Functions {
    /// Which libraries there are.
    pub libraries: Libraries,
    /// The interpreter for which the slots of `libraries` are right.
    generation: u64,
}

impl Functions {
    /// Sees to it that the interpreter on the shelf has all libraries. O(1) unless it is a new one.
    pub fn make_ready(&mut self, scripts: &mut Scripts, clock: &Clock) {
        let shelf = &scripts.functions;
        if (!shelf.is_here() || shelf.generation() != self.generation)
            && let Some(interpreter) = self.take(scripts, clock)
        {
            put_back(scripts, interpreter);
        }
    }

    /// The interpreter, with all libraries loaded; `None` if there is no memory for one.
    fn take(&mut self, scripts: &mut Scripts, clock: &Clock) -> Option<Interpreter> {
        let mut interpreter = scripts.functions.take()?;
        // A function may have been left behind, when its client was.
        interpreter.end("ERR Script was left");
        if scripts.functions.generation() != self.generation {
            self.generation = scripts.functions.generation();
            self.load_again(&mut interpreter, clock);
        }
        Some(interpreter)
    }

    #[cold]
    fn load_again(&mut self, interpreter: &mut Interpreter, clock: &Clock) {
        let all: Vec<(Vec<u8>, Vec<u8>)> =
            self.libraries.iter().map(|known| (known.name.clone(), known.code.clone())).collect();
        for (name, code) in all {
            let registered = Header::read(&code)
                .and_then(|header| run(interpreter, &code[header.body_at..], clock));
            let is_whole = registered.is_ok_and(|list| self.libraries.move_to(&name, list));
            if !is_whole {
                log::warn!("A library registers other functions than before and is dropped.");
                self.libraries.unlink(&name);
            }
        }
    }

    /// Loads a library and returns its name. One of the same name is replaced if `replaces`, else an error.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed then.
    pub fn load(
        &mut self,
        code: &[u8],
        replaces: bool,
        scripts: &mut Scripts,
        clock: &Clock,
    ) -> Result<Vec<u8>, Refused> {
        let header = Header::read(code)?;
        if !replaces && self.libraries.get(&header.name).is_some() {
            return Err([b"Library '", header.name.as_slice(), b"' already exists"].concat());
        }
        let mut interpreter = self.take(scripts, clock).ok_or_else(no_interpreter)?;
        let made = make(&mut interpreter, &header, code, clock).and_then(|library| {
            let is_leaving = |owner: &[u8]| owner == header.name;
            match self.libraries.collision(&library, is_leaving) {
                None => Ok(library),
                Some(function) => {
                    let error = function_exists(&function.name);
                    forget(&mut interpreter, &library);
                    Err(error)
                }
            }
        });
        let result = made.map(|library| {
            if let Some(old) = self.libraries.unlink(&header.name) {
                forget(&mut interpreter, &old);
            }
            self.libraries.link(library);
            header.name
        });
        put_back(scripts, interpreter);
        result
    }

    /// Deletes a library; false if there is none of that name.
    pub fn delete(&mut self, name: &[u8], scripts: &mut Scripts, clock: &Clock) -> bool {
        let Some(library) = self.libraries.unlink(name) else { return false };
        // An interpreter made meanwhile knows nothing of it.
        let generation = self.generation;
        if let Some(mut interpreter) = self.take(scripts, clock) {
            if self.generation == generation {
                forget(&mut interpreter, &library);
            }
            put_back(scripts, interpreter);
        }
        true
    }

    /// Deletes all libraries, and the interpreter with all its memory.
    pub fn flush(&mut self, scripts: &mut Scripts) {
        self.libraries = Libraries::default();
        scripts.forget_functions();
    }

    /// Loads the libraries of a payload whose footer was checked.
    ///
    /// # Errors
    /// What is wrong with one of them; nothing has changed then.
    pub fn restore(
        &mut self,
        mut payload: Reader<'_>,
        policy: Policy,
        scripts: &mut Scripts,
        clock: &Clock,
    ) -> Result<(), Refused> {
        let mut interpreter = self.take(scripts, clock).ok_or_else(no_interpreter)?;
        let mut restored = Libraries::default();
        let mut read = || -> Result<(), Refused> {
            while let Some(code) = function_payload::read(&mut payload) {
                let code = code.map_err(|what| what.as_bytes().to_vec())?;
                let header = Header::read(&code)?;
                if restored.get(&header.name).is_some() {
                    let name = header.name.as_slice();
                    return Err([b"Library '", name, b"' already exists"].concat());
                }
                let library = make(&mut interpreter, &header, &code, clock)?;
                let collision = restored.collision(&library, |_| false);
                if let Some(function) = collision {
                    let error = function_exists(&function.name);
                    forget(&mut interpreter, &library);
                    return Err(error);
                }
                restored.link(library);
            }
            Ok(())
        };
        let result = read().and_then(|()| self.check_joining(&restored, policy));
        let leaving = match result {
            Err(_) => restored,
            Ok(()) => self.join(restored, policy),
        };
        leaving.iter().for_each(|library| forget(&mut interpreter, library));
        put_back(scripts, interpreter);
        result
    }

    /// Whether these may be added.
    fn check_joining(&self, new: &Libraries, policy: Policy) -> Result<(), Refused> {
        if policy == Policy::Flush {
            return Ok(());
        }
        let known = new.iter().find(|library| self.libraries.get(&library.name).is_some());
        if let Some(library) = known.filter(|_| policy == Policy::Append) {
            return Err([b"Library ", library.name.as_slice(), b" already exists"].concat());
        }
        let is_leaving = |owner: &[u8]| new.get(owner).is_some();
        let collision =
            new.iter().find_map(|library| self.libraries.collision(library, is_leaving));
        collision.map_or(Ok(()), |function| Err(function_exists(&function.name)))
    }

    /// Adds these, and returns those that leave for them.
    fn join(&mut self, mut new: Libraries, policy: Policy) -> Libraries {
        if policy == Policy::Flush {
            return std::mem::replace(&mut self.libraries, new);
        }
        let mut leaving = Libraries::default();
        let names: Vec<Vec<u8>> = new.iter().map(|library| library.name.clone()).collect();
        names
            .iter()
            .filter_map(|name| self.libraries.unlink(name))
            .for_each(|old| leaving.link(old));
        names.iter().filter_map(|name| new.unlink(name)).for_each(|new| self.libraries.link(new));
        leaving
    }
}

fn put_back(scripts: &mut Scripts, interpreter: Interpreter) {
    scripts.functions_bytes = interpreter.exchange.memory_bytes.get();
    scripts.functions.put(interpreter);
}

fn no_interpreter() -> Refused {
    b"no memory for an interpreter".to_vec()
}

fn function_exists(name: &[u8]) -> Refused {
    [b"Function ", name, b" already exists"].concat()
}

/// Has the interpreter load a library, which has to register something.
fn make(
    interpreter: &mut Interpreter,
    header: &Header,
    code: &[u8],
    clock: &Clock,
) -> Result<Library, Refused> {
    let registered = run(interpreter, code.get(header.body_at..).unwrap_or_default(), clock)?;
    if registered.is_empty() {
        return Err(b"No functions registered".to_vec());
    }
    let functions = registered.into_iter().map(Into::into).collect();
    Ok(Library { name: header.name.clone(), code: code.to_vec(), functions })
}

fn run(
    interpreter: &mut Interpreter,
    body: &[u8],
    clock: &Clock,
) -> Result<Vec<Registration>, Refused> {
    let started = clock.monotonic();
    interpreter.exchange.source.replace(body.to_vec());
    let mut event = interpreter.begin(Task::Load);
    loop {
        let is_late = clock.monotonic().saturating_sub(started) > LOADING_MAX;
        let answer = match event {
            Event::Done(Done::Loaded(registered)) => return Ok(registered),
            Event::Done(Done::Failed(failed)) => return Err(failed.text),
            Event::Done(_) => return Err(no_interpreter()),
            Event::Tick if !is_late => Answer::Go,
            Event::Tick => Answer::Kill(TIMEOUT),
            // What a library may call while it is loaded asks nothing.
            _ => Answer::Kill("ERR not while a library is loaded"),
        };
        event = interpreter.answer(answer);
    }
}

fn forget(interpreter: &mut Interpreter, library: &Library) {
    for function in &library.functions {
        interpreter.begin(Task::Forget { slot: function.slot });
    }
}
