//! Configuration files: any text is loaded or refused with a reason, and what was loaded survives a rewrite.
#![no_main]
use libfuzzer_sys::fuzz_target;
use rufous::boot::config_file::{AcceptAll, Loader};
use rufous::engine::config::Config;
use rufous::engine::config_rewrite::Lines;

fuzz_target!(|text: &[u8]| {
    // A file it includes would be read, and the file system is no part of the input.
    let lower = text.to_ascii_lowercase();
    if lower.windows(7).any(|window| window == b"include") {
        return;
    }
    let Some(config) = load(text) else { return };
    // Addresses are written as they are, as Redis does; no address that works needs quotes.
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    let mut addresses = config.bind().map(|bind| bind.address);
    if !addresses.all(|address| !address.is_empty() && address.iter().all(is_plain)) {
        return;
    }
    let rewritten = config.rewritten(text, None, Lines::Changed);
    let Some(again) = load(&rewritten) else {
        panic!("refused after a rewrite:\n{}", rewritten.escape_ascii());
    };
    assert_eq!(config.get(&[b"*"]), again.get(&[b"*"]), "{}", rewritten.escape_ascii());
});

fn load(text: &[u8]) -> Option<Config> {
    let mut config = Config::new("/".into());
    match Loader::new(&mut config, &mut AcceptAll).load_text(text) {
        Ok(()) => Some(config),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}
