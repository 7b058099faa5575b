//! Reading into a `String`: bytes are read first, and checked to be UTF-8 afterwards.

use std::io;

use super::errors::not_utf8;
use crate::buf::BufResult;

/// The text to append to, and a buffer for the bytes to append.
///
/// Bytes are read into the string's own allocation where that is empty. Where it is not, its text would have to be
/// checked again each time something is appended.
pub(super) fn split(text: String) -> (String, Vec<u8>) {
    if text.is_empty() {
        (String::new(), text.into_bytes())
    } else {
        (text, Vec::new())
    }
}

/// Appends `bytes` to `text`, or leaves it as it is if they are not text. An error of the stream comes first.
pub(super) fn join<T>(
    result: io::Result<T>,
    mut text: String,
    bytes: Vec<u8>,
) -> BufResult<T, String> {
    match String::from_utf8(bytes) {
        Ok(read) if text.is_empty() => (result, read),
        Ok(read) => {
            text.push_str(&read);
            (result, text)
        }
        Err(error) => {
            if text.is_empty() {
                let mut bytes = error.into_bytes();
                bytes.clear(); // What is empty is text, and so the allocation survives.
                text = String::from_utf8(bytes).unwrap_or_default();
            }
            (result.and_then(|_| Err(not_utf8())), text)
        }
    }
}
