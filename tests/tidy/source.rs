//! A Rust file as the rules of tidy see it: each line twice, once without comments and text, once comments only.
//!
//! The scanner knows comments (nested too), strings, raw strings, characters and lifetimes, which is all it
//! takes to not mistake the word `unsafe` in a comment for code. It keeps line numbers and columns: what is
//! taken out becomes spaces. It is no parser; rules look for words and count braces.

/// One source file.
pub struct Source {
    /// Path from the root of the package, with `/`.
    pub path: String,
    /// Lines as they are.
    pub lines: Vec<String>,
    /// The same lines with comments and the insides of strings blanked.
    pub code: Vec<String>,
    /// The same lines with everything but comments blanked.
    pub comments: Vec<String>,
}

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text,
    RawText { hashes: usize },
}

impl Source {
    /// Scans `text`. O(its length).
    pub fn new(path: &str, text: &str) -> Source {
        let (code, comments) = split(text);
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        Source {
            path: path.to_owned(),
            lines: lines(text),
            code: lines(&code),
            comments: lines(&comments),
        }
    }

    /// The folder below `src/`: its layer. `None` for `lib.rs`, `main.rs` and files elsewhere.
    pub fn layer(&self) -> Option<&str> {
        self.path.strip_prefix("src/")?.split_once('/').map(|(layer, _)| layer)
    }

    /// Whether the whole file is a test.
    pub fn is_test(&self) -> bool {
        let ends = ["_tests.rs", "/tests.rs"];
        self.path.starts_with("tests/") || ends.iter().any(|end| self.path.ends_with(end))
    }
}

/// The two views of `text`; both have its line breaks.
fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let mut inside = Inside::Code;
    let mut at = 0;
    while at < chars.len() {
        let (next, taken, is_code, is_comment) = step(&chars, at, inside);
        for &char in &chars[at..at + taken] {
            let shown = |is_shown: bool| if is_shown || char == '\n' { char } else { ' ' };
            code.push(shown(is_code));
            comments.push(shown(is_comment));
        }
        inside = next;
        at += taken;
    }
    (code, comments)
}

/// The next few characters: what follows them, how many they are, and which view shows them.
fn step(chars: &[char], at: usize, inside: Inside) -> (Inside, usize, bool, bool) {
    let peek = |offset: usize| chars.get(at + offset).copied().unwrap_or('\0');
    match inside {
        Inside::Code => step_code(chars, at),
        Inside::LineComment if peek(0) == '\n' => (Inside::Code, 1, false, true),
        Inside::LineComment => (inside, 1, false, true),
        Inside::BlockComment { depth } => match (peek(0), peek(1)) {
            ('*', '/') if depth == 1 => (Inside::Code, 2, false, true),
            ('*', '/') => (Inside::BlockComment { depth: depth - 1 }, 2, false, true),
            ('/', '*') => (Inside::BlockComment { depth: depth + 1 }, 2, false, true),
            _ => (inside, 1, false, true),
        },
        Inside::Text => match peek(0) {
            '\\' => (inside, 2.min(chars.len() - at), false, false),
            '"' => (Inside::Code, 1, true, false),
            _ => (inside, 1, false, false),
        },
        Inside::RawText { hashes } => {
            let is_end = peek(0) == '"' && (1..=hashes).all(|offset| peek(offset) == '#');
            if is_end { (Inside::Code, 1 + hashes, true, false) } else { (inside, 1, false, false) }
        }
    }
}

fn step_code(chars: &[char], at: usize) -> (Inside, usize, bool, bool) {
    let peek = |offset: usize| chars.get(at + offset).copied().unwrap_or('\0');
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let starts_word = at == 0 || !is_word(chars[at - 1]) || chars[at - 1] == 'b';
    match (peek(0), peek(1)) {
        ('/', '/') => (Inside::LineComment, 2, false, true),
        ('/', '*') => (Inside::BlockComment { depth: 1 }, 2, false, true),
        ('"', _) => (Inside::Text, 1, true, false),
        ('r', '"' | '#') if starts_word => {
            let hashes = chars[at + 1..].iter().take_while(|char| **char == '#').count();
            if peek(1 + hashes) == '"' {
                return (Inside::RawText { hashes }, 2 + hashes, true, false);
            }
            (Inside::Code, 1, true, false)
        }
        // 'x' and '\n' are characters; 'static is a lifetime.
        ('\'', '\\') => {
            let length = chars[at + 3..].iter().position(|char| *char == '\'').map_or(1, |p| p + 4);
            (Inside::Code, length, false, false)
        }
        ('\'', _) if peek(2) == '\'' => (Inside::Code, 3, false, false),
        _ => (Inside::Code, 1, true, false),
    }
}

/// Whether `text` has `word` as a whole word at byte `at`.
pub fn is_word_at(text: &str, at: usize, word: &str) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let bytes = text.as_bytes();
    text[at..].starts_with(word)
        && (at == 0 || !is_word(bytes.get(at - 1)))
        && !is_word(bytes.get(at + word.len()))
}

/// Byte positions of `word` as a whole word.
pub fn words<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| is_word_at(text, *at, word))
}

/// The identifier that begins at byte `at`; empty where none does.
pub fn identifier(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or("");
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    &rest[..end]
}

#[test]
fn comments_and_text_are_no_code() {
    let source = Source::new(
        "src/a/b.rs",
        concat!(
            "let a = \"unsafe // no\"; // unsafe\n",
            "let b = r#\"\"unsafe\"#;/* unsafe\n",
            "/* */ unsafe */ let c = '\"'; d::<'x>(b'\\'')\n",
        ),
    );
    assert_eq!(source.layer(), Some("a"));
    assert!(source.code.iter().all(|line| !line.contains("unsafe")), "{:?}", source.code);
    assert!(source.comments[0].contains("// unsafe"));
    assert!(source.comments[2].contains("unsafe */"));
    assert!(source.code[2].contains("let c ="));
    assert!(source.code[2].contains("d::<'x>("));
    assert_eq!(source.code[0].len(), source.lines[0].len());
}
