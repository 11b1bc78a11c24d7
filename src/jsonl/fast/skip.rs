//! Values that are skipped. They must be valid JSON all the same.

use crate::jsonl::fast::escape::escape;
use crate::jsonl::fast::number::number_end;
use crate::jsonl::fast::scan::{BLOCK, block, byte, skip_space, specials};

/// The maximum nesting depth. Deeper values are left to the reference decoder.
const MAX_DEPTH: usize = 64;

/// Returns the end of the value that begins at `at`.
pub(crate) fn skip_value(line: &[u8], at: usize) -> Option<usize> {
    skip_nested(line, at, 0)
}

fn skip_nested(line: &[u8], at: usize, depth: usize) -> Option<usize> {
    match line.get(at)? {
        b'"' => skip_string(line, at + 1),
        b'-' | b'0'..=b'9' => number_end(line, at),
        b'{' => skip_members(line, at + 1, b'}', depth + 1),
        b'[' => skip_members(line, at + 1, b']', depth + 1),
        b't' => literal(line, at, b"true"),
        b'f' => literal(line, at, b"false"),
        b'n' => literal(line, at, b"null"),
        _ => None,
    }
}

/// Returns the end of the object or list whose opening bracket is just before `at`.
fn skip_members(line: &[u8], at: usize, close: u8, depth: usize) -> Option<usize> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut at = skip_space(line, at);
    if byte(line, at) == close {
        return Some(at + 1);
    }
    loop {
        at = skip_space(line, at);
        if close == b'}' {
            if byte(line, at) != b'"' {
                return None;
            }
            at = colon_end(line, skip_string(line, at + 1)?)?;
        }
        at = skip_space(line, skip_nested(line, at, depth)?);
        match byte(line, at) {
            b',' => at += 1,
            end if end == close => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Returns the start of the value after the colon. `at` is the end of the key.
pub(crate) fn colon_end(line: &[u8], at: usize) -> Option<usize> {
    let at = skip_space(line, at);
    (byte(line, at) == b':').then(|| skip_space(line, at + 1))
}

/// Returns the end of the string whose opening quote is just before `at`.
pub(crate) fn skip_string(line: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        let Some(text) = block(line, at) else {
            match line.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at = escape(line, at + 1)?.1,
                0..0x20 => return None,
                _ => at += 1,
            }
            continue;
        };
        let found = specials(text);
        if found == 0 {
            at += BLOCK;
            continue;
        }
        at += found.trailing_zeros() as usize;
        match byte(line, at) {
            b'"' => return Some(at + 1),
            b'\\' => at = escape(line, at + 1)?.1,
            _ => return None,
        }
    }
}

/// Returns the end of `literal`, if it begins at `at`.
#[inline]
pub(crate) fn literal(line: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    line.get(at..)?
        .starts_with(literal)
        .then_some(at + literal.len())
}
