//! Which libraries of functions there are, and which function is whose.
//!
//! ```text
//!   #!lua name=mylib\n                    the header: engine and name
//!   redis.register_function(…)           the code, which registers functions while it is loaded
//! ```
//!
//! Names of libraries are told apart by case, names of functions are not, and belong to one library only. A change is
//! whole or does not happen: whoever makes one checks it first ([`Libraries::collision`]) and links afterwards.
use std::collections::{BTreeMap, HashMap};

use crate::base::quote::split_args;
use crate::script::exchange::Registration;
use crate::script::shebang::Flags;

/// The engine, as replies name it.
pub const ENGINE: &str = "LUA";

/// A function of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, as it was registered.
    pub name: Vec<u8>,
    /// What its library says of it.
    pub description: Option<Vec<u8>>,
    /// What it may do.
    pub flags: Flags,
    /// Where the interpreter keeps it.
    pub slot: usize,
}

impl From<Registration> for Function {
    fn from(registration: Registration) -> Function {
        let Registration { name, description, flags, slot } = registration;
        Function { name, description, flags: Flags(flags), slot }
    }
}

/// A library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Its name.
    pub name: Vec<u8>,
    /// Its source, header included.
    pub code: Vec<u8>,
    /// Its functions, as they were registered.
    pub functions: Vec<Function>,
}

/// The first line of a library's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name of the library.
    pub name: Vec<u8>,
    /// Where the code begins after it: at its line end, so that lines are counted with it.
    pub body_at: usize,
}

impl Header {
    /// Reads the header of `code`; an error is what the sender is told, without a code.
    pub fn read(code: &[u8]) -> Result<Header, Vec<u8>> {
        if !code.starts_with(b"#!") {
            return Err(b"Missing library metadata".to_vec());
        }
        let invalid = || b"Invalid library metadata".to_vec();
        let end = memchr::memchr2(b'\n', 0, code).filter(|end| code.get(*end) == Some(&b'\n'));
        let body_at = end.ok_or_else(invalid)?;
        let parts = split_args(&code[..body_at]).ok_or_else(invalid)?;
        let (engine, options) = parts.split_first().ok_or_else(invalid)?;
        let mut name = None;
        for option in options {
            let prefix = option.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"name="));
            if !prefix {
                return Err([b"Invalid metadata value given: ", option.as_slice()].concat());
            }
            if name.is_some() {
                let text = "Invalid metadata value, name argument was given multiple times";
                return Err(text.as_bytes().to_vec());
            }
            name = option.get(5..).map(<[u8]>::to_vec);
        }
        let name = name.ok_or_else(|| b"Library name was not given".to_vec())?;
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        if name.is_empty() || !name.iter().all(is_part) {
            let text = "Library names can only contain letters, numbers, or underscores(_) and must be at least \
                        one character long";
            return Err(text.as_bytes().to_vec());
        }
        let engine = engine.get(2..).unwrap_or_default();
        if !engine.eq_ignore_ascii_case(ENGINE.as_bytes()) {
            return Err([b"Engine '", engine, b"' not found"].concat());
        }
        Ok(Header { name, body_at })
    }
}

/// All libraries.
#[derive(Debug, Default)]
pub struct Libraries {
    by_name: BTreeMap<Vec<u8>, Library>,
    /// Lower-case name of a function → its library and its place there.
    functions: HashMap<Vec<u8>, (Vec<u8>, usize)>,
    /// Bytes of names, descriptions and codes.
    text_bytes: usize,
}

impl Libraries {
    /// How many libraries there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many functions they have.
    pub fn function_count(&self) -> usize {
        self.by_name.values().map(|library| library.functions.len()).sum()
    }

    /// About the bytes all this takes. O(1).
    pub fn bytes(&self) -> usize {
        let entries = self.functions.capacity() * size_of::<(Vec<u8>, (Vec<u8>, usize))>();
        self.text_bytes + entries + self.by_name.len() * size_of::<Library>() + size_of::<Self>()
    }

    /// The libraries by name.
    pub fn iter(&self) -> impl Iterator<Item = &Library> {
        self.by_name.values()
    }

    /// The library of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Library> {
        self.by_name.get(name)
    }

    /// The function of this name, in any case. O(length of the name).
    pub fn function(&self, name: &[u8]) -> Option<&Function> {
        let (library, index) = self.functions.get(name.to_ascii_lowercase().as_slice())?;
        self.by_name.get(library)?.functions.get(*index)
    }

    /// The first function of `library` whose name is taken by another library than those that `is_leaving` names.
    pub fn collision<'l>(
        &self,
        library: &'l Library,
        is_leaving: impl Fn(&[u8]) -> bool,
    ) -> Option<&'l Function> {
        library.functions.iter().find(|function| {
            let owner = self.functions.get(function.name.to_ascii_lowercase().as_slice());
            owner.is_some_and(|(owner, _)| !is_leaving(owner))
        })
    }

    /// Adds a library, after its name and those of its functions were found free. Of functions whose names differ by
    /// case alone the first can be called.
    pub fn link(&mut self, library: Library) {
        for (index, function) in library.functions.iter().enumerate() {
            let place = (library.name.clone(), index);
            self.functions.entry(function.name.to_ascii_lowercase()).or_insert(place);
        }
        self.text_bytes += text_bytes(&library);
        self.by_name.insert(library.name.clone(), library);
    }

    /// Takes a library out.
    pub fn unlink(&mut self, name: &[u8]) -> Option<Library> {
        let library = self.by_name.remove(name)?;
        for function in &library.functions {
            self.functions.remove(function.name.to_ascii_lowercase().as_slice());
        }
        self.text_bytes -= text_bytes(&library);
        Some(library)
    }

    /// Whether all functions of a library are kept in these slots now, in the order in which they were registered.
    pub fn move_to(&mut self, name: &[u8], registered: Vec<Registration>) -> bool {
        let Some(library) = self.by_name.get_mut(name) else { return false };
        let is_same = library.functions.len() == registered.len();
        for (function, registration) in library.functions.iter_mut().zip(registered) {
            function.slot = registration.slot;
        }
        is_same
    }
}

fn text_bytes(library: &Library) -> usize {
    let of = |function: &Function| {
        let description = function.description.as_ref().map_or(0, Vec::len);
        size_of::<Function>() + function.name.len() + description
    };
    let functions: usize = library.functions.iter().map(of).sum();
    functions + library.name.len() + library.code.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn refused(code: &[u8]) -> String {
        String::from_utf8(Header::read(code).unwrap_err()).unwrap()
    }

    #[test]
    fn headers_are_read_and_mistakes_named() {
        let header = Header::read(b"#!LUA NAME=lib_1\ncode").unwrap();
        assert_eq!(header, Header { name: b"lib_1".to_vec(), body_at: 16 });
        assert_eq!(refused(b"return 1"), "Missing library metadata");
        assert_eq!(refused(b"#!lua name=a"), "Invalid library metadata");
        assert_eq!(refused(b"#!lua \"name=a\n"), "Invalid library metadata");
        assert_eq!(refused(b"#!lua name=a\0\n"), "Invalid library metadata");
        assert_eq!(refused(b"#!lua\n"), "Library name was not given");
        assert_eq!(refused(b"#!lua name=a foo=b\n"), "Invalid metadata value given: foo=b");
        assert_eq!(
            refused(b"#!lua name=a name=b\n"),
            "Invalid metadata value, name argument was given multiple times"
        );
        assert_eq!(refused(b"#!perl name=a\n"), "Engine 'perl' not found");
        assert!(refused(b"#!lua name=a-b\n").starts_with("Library names can only"));
    }

    fn library(name: u8, functions: &BTreeSet<u8>) -> Library {
        let function = |&name: &u8| {
            let name = if name % 2 == 0 { vec![b'F', name] } else { vec![b'f', name] };
            Function { name, description: None, flags: Flags(0), slot: 0 }
        };
        let functions = functions.iter().map(function).collect();
        Library { name: vec![name], code: vec![0; usize::from(name)], functions }
    }

    proptest! {
        /// Against a list of libraries that is searched from end to end.
        #[test]
        fn functions_belong_to_one_library(
            steps in proptest::collection::vec(
                (0u8..6, proptest::collection::btree_set(0u8..12, 0..5), any::<bool>()),
                0..40,
            ),
        ) {
            let (mut real, mut model) = (Libraries::default(), Vec::<Library>::new());
            for (name, functions, adds) in steps {
                let new = library(name, &functions);
                let old = model.iter().position(|known| known.name == new.name);
                if let Some(old) = old.filter(|_| !adds) {
                    prop_assert_eq!(real.unlink(&new.name), Some(model.remove(old)));
                } else if adds && old.is_none() {
                    let taken = |function: &&Function| {
                        model.iter().any(|known| known.functions.contains(function))
                    };
                    let collision = new.functions.iter().find(taken).cloned();
                    prop_assert_eq!(real.collision(&new, |_| false), collision.as_ref());
                    if collision.is_none() {
                        real.link(new.clone());
                        model.push(new);
                    }
                }
                let count: usize = model.iter().map(|known| known.functions.len()).sum();
                prop_assert_eq!((real.len(), real.function_count()), (model.len(), count));
                for function in model.iter().flat_map(|known| &known.functions) {
                    let name = function.name.to_ascii_uppercase();
                    prop_assert_eq!(real.function(&name).map(|f| &f.name), Some(&function.name));
                }
            }
            let bytes: usize = model.iter().map(text_bytes).sum();
            prop_assert_eq!(real.text_bytes, bytes);
        }
    }
}
