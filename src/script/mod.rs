//! Lua, without a word of what its scripts work on: the libraries that scripts find beside Lua's own.
pub mod arguments;
pub mod bit;
pub mod cjson;
pub mod cmsgpack;
pub mod cmsgpack_text;
pub mod json_text;
pub mod structs;
