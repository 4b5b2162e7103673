//! The notation in which a command declares its arguments, and its parser.
//!
//! COMMAND DOCS tells the arguments of a command as a tree of maps, 20 lines for `[NX|XX]`.
//! Declarations write the same tree as one line (`Doc::syntax`), parsed here when somebody asks:
//!
//! | written | meaning |
//! |---|---|
//! | `key:key value:string` | name and type, in order; a `key` belongs to key specification 0 |
//! | `destination:key#1` | belongs to key specification 1 |
//! | `NX` | a bare word: `NX` itself is sent, its name is `nx` |
//! | `CH=change` | `CH` itself is sent, its name is `change` |
//! | `EX=seconds:integer` | `EX` is sent before the value |
//! | `'*'=auto-id` | a word of other characters than letters, digits and `-` is quoted |
//! | `when(NX\|XX)` | one of these |
//! | `data(key:key value:string)` | all of these |
//! | `[…]` | optional |
//! | `x:string...` | one or more times; `...+`: its word is repeated as well |
//! | `x:string@7.0.0`, `x:string!7.0.0` | since, deprecated since |
//!
//! Marks stand in this order: `[WORD=name:type#key...@since!deprecated]`.
//! Cost: O(length) and a few allocations; never on the way of a command other than COMMAND DOCS.
use std::borrow::Cow;
use std::fmt::Write;

/// What kind of value an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any bytes.
    String,
    /// A 64-bit integer.
    Integer,
    /// A floating-point number.
    Double,
    /// Name of a key.
    Key,
    /// A glob pattern.
    Pattern,
    /// A point in time, since 1970.
    UnixTime,
    /// The word itself.
    PureToken,
    /// One of its members.
    OneOf,
    /// All of its members.
    Block,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::String,
        Kind::Integer,
        Kind::Double,
        Kind::Key,
        Kind::Pattern,
        Kind::UnixTime,
        Kind::PureToken,
        Kind::OneOf,
        Kind::Block,
    ];

    /// As COMMAND DOCS prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Key => "key",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::PureToken => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }
}

/// One argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument<'a> {
    /// What documentation calls it.
    pub name: Cow<'a, str>,
    /// What it is.
    pub kind: Kind,
    /// Word sent before it, or instead of it.
    pub token: Option<&'a str>,
    /// Index into the key specifications of the command.
    pub key_spec: Option<u8>,
    /// It may be left out.
    pub is_optional: bool,
    /// It may be repeated.
    pub is_multiple: bool,
    /// Where it is repeated, so is its word.
    pub is_token_repeated: bool,
    /// First version that has it.
    pub since: Option<&'a str>,
    /// Version that deprecated it.
    pub deprecated_since: Option<&'a str>,
    /// Members of [`Kind::OneOf`] and [`Kind::Block`].
    pub members: Vec<Argument<'a>>,
}

/// Where a notation makes no sense: a mistake in a declaration, found by the tests over the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Bytes before the mistake.
    pub at: usize,
}

/// The arguments that `text` describes.
pub fn parse(text: &str) -> Result<Vec<Argument<'_>>, SyntaxError> {
    let mut parser = Parser { rest: text };
    let outcome = if text.is_empty() { Some(Vec::new()) } else { parser.list(' ') };
    match outcome {
        Some(arguments) if parser.rest.is_empty() => Ok(arguments),
        _ => Err(SyntaxError { at: text.len() - parser.rest.len() }),
    }
}

/// Characters that end a word.
const MARKS: [char; 12] = ['=', '(', ')', '[', ']', '|', ' ', '#', '@', '!', '.', '\''];

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn list(&mut self, separator: char) -> Option<Vec<Argument<'a>>> {
        let mut arguments = vec![self.argument()?];
        while self.eat(separator) {
            arguments.push(self.argument()?);
        }
        Some(arguments)
    }

    fn argument(&mut self) -> Option<Argument<'a>> {
        let is_optional = self.eat('[');
        let quoted = if self.eat('\'') { Some(self.until('\'')?) } else { None };
        let mut word = if quoted.is_some() { "" } else { self.word()? };
        let mut token = quoted;
        if self.eat('=') {
            token = token.or(Some(word));
            word = self.word()?;
        } else if quoted.is_some() {
            return None;
        }
        let mut argument = self.value(token, word)?;
        argument.is_optional = is_optional;
        self.marks(&mut argument)?;
        if is_optional && !self.eat(']') {
            return None;
        }
        Some(argument)
    }

    /// What `word` and the parentheses after it say.
    fn value(&mut self, token: Option<&'a str>, word: &'a str) -> Option<Argument<'a>> {
        let mut members = Vec::new();
        let mut token = token;
        let (name, kind) = if self.eat('(') {
            let (inside, kind) = self.members()?;
            members = inside;
            (Cow::Borrowed(word), kind)
        } else if let Some((name, kind)) = word.rsplit_once(':') {
            let kind = Kind::ALL[..6].iter().find(|known| known.name() == kind)?;
            (Cow::Borrowed(name), *kind)
        } else if token.is_some() {
            (Cow::Borrowed(word), Kind::PureToken)
        } else {
            token = Some(word);
            (Cow::Owned(word.to_ascii_lowercase()), Kind::PureToken)
        };
        Some(Argument {
            name,
            kind,
            token,
            key_spec: (kind == Kind::Key).then_some(0),
            is_optional: false,
            is_multiple: false,
            is_token_repeated: false,
            since: None,
            deprecated_since: None,
            members,
        })
    }

    /// Members up to the closing parenthesis. A single member is a block of one.
    fn members(&mut self) -> Option<(Vec<Argument<'a>>, Kind)> {
        let first = self.argument()?;
        let (separator, kind) =
            if self.rest.starts_with('|') { ('|', Kind::OneOf) } else { (' ', Kind::Block) };
        let mut members = vec![first];
        if self.eat(separator) {
            members.extend(self.list(separator)?);
        }
        self.eat(')').then_some((members, kind))
    }

    fn marks(&mut self, argument: &mut Argument<'a>) -> Option<()> {
        if self.eat('#') {
            argument.key_spec = Some(self.word()?.parse().ok()?);
        }
        if let Some(rest) = self.rest.strip_prefix("...") {
            self.rest = rest;
            argument.is_multiple = true;
            argument.is_token_repeated = self.eat('+');
        }
        if self.eat('@') {
            argument.since = Some(self.version()?);
        }
        if self.eat('!') {
            argument.deprecated_since = Some(self.version()?);
        }
        Some(())
    }

    fn eat(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn until(&mut self, end: char) -> Option<&'a str> {
        let (inside, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(inside)
    }

    fn word(&mut self) -> Option<&'a str> {
        self.take(|character| !MARKS.contains(&character))
    }

    fn version(&mut self) -> Option<&'a str> {
        self.take(|character| character.is_ascii_digit() || character == '.')
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> Option<&'a str> {
        let end = self.rest.find(|character| !belongs(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!taken.is_empty()).then_some(taken)
    }
}

/// The arguments as manuals print them: `key value [NX | XX] [GET] [EX seconds | KEEPTTL]`.
pub fn usage(arguments: &[Argument<'_>]) -> String {
    let mut line = String::new();
    write_all(&mut line, arguments, " ");
    line
}

fn write_all(line: &mut String, arguments: &[Argument<'_>], between: &str) {
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            line.push_str(between);
        }
        // Of several alternatives each is optional anyway.
        if argument.is_optional && between == " " {
            line.push('[');
            write_repeated(line, argument);
            line.push(']');
        } else {
            write_repeated(line, argument);
        }
    }
}

fn write_repeated(line: &mut String, argument: &Argument<'_>) {
    let mut value = String::new();
    match argument.kind {
        Kind::PureToken => {}
        Kind::OneOf
            if argument.is_optional && argument.token.is_none() && !argument.is_multiple =>
        {
            write_all(&mut value, &argument.members, " | ");
        }
        Kind::OneOf => {
            value.push('<');
            write_all(&mut value, &argument.members, " | ");
            value.push('>');
        }
        Kind::Block => write_all(&mut value, &argument.members, " "),
        _ => value.push_str(&argument.name),
    }
    let token = argument.token.unwrap_or_default();
    let mut whole = String::from(if argument.token == Some("") { "\"\"" } else { token });
    if !whole.is_empty() && !value.is_empty() {
        whole.push(' ');
    }
    whole.push_str(&value);
    let again = if argument.is_token_repeated { &whole } else { &value };
    line.push_str(&whole);
    if argument.is_multiple {
        // Writing to a String cannot fail.
        let _ = write!(line, " [{again} ...]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_words_values_and_marks() {
        let arguments = parse("key:key [EX=seconds:integer@2.6.12] a/b:string!7.0.0").unwrap();
        assert_eq!(arguments.len(), 3);
        assert_eq!((arguments[0].kind, arguments[0].key_spec), (Kind::Key, Some(0)));
        assert_eq!((arguments[1].token, &*arguments[1].name), (Some("EX"), "seconds"));
        assert_eq!((arguments[1].is_optional, arguments[1].since), (true, Some("2.6.12")));
        assert_eq!((&*arguments[2].name, arguments[2].kind), ("a/b", Kind::String));
        assert_eq!(arguments[2].deprecated_since, Some("7.0.0"));
    }

    #[test]
    fn reads_choices_blocks_and_quotes() {
        let [choice, block, quoted] =
            &parse("w(NX|'='=equal) d(k:key#1 v:string)... '*'=auto").unwrap()[..]
        else {
            panic!("three arguments");
        };
        assert_eq!((choice.kind, choice.members.len()), (Kind::OneOf, 2));
        assert_eq!((&*choice.members[0].name, choice.members[0].token), ("nx", Some("NX")));
        assert_eq!((&*choice.members[1].name, choice.members[1].token), ("equal", Some("=")));
        assert_eq!(
            (block.kind, block.is_multiple, block.is_token_repeated),
            (Kind::Block, true, false)
        );
        assert_eq!(block.members[0].key_spec, Some(1));
        assert_eq!((quoted.kind, quoted.token), (Kind::PureToken, Some("*")));
    }

    #[test]
    fn tells_where_the_mistake_is() {
        for (text, at) in [("key:nothing", 11), ("a:key ", 6), ("[NX", 3), ("w(A|B", 5), ("'x'", 3)]
        {
            assert_eq!(parse(text), Err(SyntaxError { at }), "{text}");
        }
        assert_eq!(parse("w(A|B c:key)"), Err(SyntaxError { at: 5 }), "mixed separators");
        assert_eq!(parse("a:key)"), Err(SyntaxError { at: 5 }));
    }

    #[test]
    fn prints_what_manuals_print() {
        let line = "key:key value:string [when(NX|XX)] [GET] [GET=pattern:pattern...+] \
            expiry(EX=seconds:integer|KEEPTTL) \
            [LIMIT=limit(offset:integer count:integer)] id:string...";
        assert_eq!(
            usage(&parse(line).unwrap()),
            "key value [NX | XX] [GET] [GET pattern [GET pattern ...]] <EX seconds | KEEPTTL> \
            [LIMIT offset count] id [id ...]"
        );
    }
}
