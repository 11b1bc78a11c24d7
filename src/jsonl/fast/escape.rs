//! Escapes in JSON strings.

/// Decodes the escape whose `\` is just before `at`, and returns the character and the end of the
/// escape. Returns `None` if it is not a valid escape; lone surrogates are not.
pub(crate) fn escape(line: &[u8], at: usize) -> Option<(char, usize)> {
    let plain = match line.get(at)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(line, at + 1),
        _ => return None,
    };
    Some((plain, at + 1))
}

fn unicode(line: &[u8], at: usize) -> Option<(char, usize)> {
    let high = hex(line, at)?;
    if let Some(character) = char::from_u32(high) {
        return Some((character, at + 4));
    }
    if line.get(at + 4..at + 6)? != b"\\u" {
        return None;
    }
    let low = hex(line, at + 6)?;
    if !(0xD800..0xDC00).contains(&high) || !(0xDC00..0xE000).contains(&low) {
        return None;
    }
    let character = char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00))?;
    Some((character, at + 10))
}

fn hex(line: &[u8], at: usize) -> Option<u32> {
    let digits = line.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, digit| {
        Some(value << 4 | char::from(*digit).to_digit(16)?)
    })
}
