//! The checksum that a stored record carries of itself.
//!
//! It is the last member of the record: `"checksum": "sha256:<64 hexadecimal digits>"`. The digest is
//! that of the text before this member, up to and without its name. So it does not depend on how JSON
//! may be written in other ways, and covers members that this version does not know. Records from
//! before there were checksums have none.

use sha2::{Digest, Sha256};

/// The name of the member, as it stands in the text.
const NAME: &str = "\"checksum\"";

/// The text around the member: with line breaks as by `to_vec_pretty`, or without as by `to_vec`.
struct Style {
    /// The end of a record without the member.
    end: &'static str,
    /// The text between the last other member and this one.
    separator: &'static str,
    colon: &'static str,
}

const PRETTY: Style = Style {
    end: "\n}\n",
    separator: ",\n  ",
    colon: ": ",
};

const COMPACT: Style = Style {
    end: "}",
    separator: ",",
    colon: ":",
};

impl Style {
    fn member(&self, covered: &[u8]) -> String {
        let digest = Sha256::digest(covered);
        format!("{NAME}{}\"sha256:{digest:x}\"{}", self.colon, self.end)
    }
}

/// What the checksum of a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksum {
    /// The text is as it was written.
    Intact,
    /// The text is not as it was written.
    Broken,
    /// The text does not end with a checksum.
    Absent,
}

/// Appends the checksum to the text of a JSON object with members, which ends with `\n}\n` or `}`.
pub(super) fn append(mut text: Vec<u8>) -> Vec<u8> {
    let style = match text.ends_with(PRETTY.end.as_bytes()) {
        true => PRETTY,
        false => COMPACT,
    };
    text.truncate(text.len() - style.end.len());
    text.extend_from_slice(style.separator.as_bytes());
    let member = style.member(&text);
    text.extend_from_slice(member.as_bytes());
    text
}

/// Compares the text of a record with the checksum at its end.
pub(super) fn inspect(text: &[u8]) -> Checksum {
    for style in [PRETTY, COMPACT] {
        let length = style.member(b"").len();
        let Some((covered, member)) = text.split_at_checked(text.len().saturating_sub(length))
        else {
            continue;
        };
        if !is_member(member, &style) {
            continue;
        }
        return match member == style.member(covered).as_bytes() {
            true => Checksum::Intact,
            false => Checksum::Broken,
        };
    }
    Checksum::Absent
}

/// Returns true for the text of a checksum, whatever its digits are.
fn is_member(text: &[u8], style: &Style) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let digits = text
        .strip_prefix(NAME)
        .and_then(|rest| rest.strip_prefix(style.colon))
        .and_then(|rest| rest.strip_prefix("\"sha256:"))
        .and_then(|rest| rest.strip_suffix(style.end))
        .and_then(|rest| rest.strip_suffix('"'));
    digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_last_member_and_covers_the_text_before_it() {
        for (text, start, end) in [
            ("{\"a\":1}", "{\"a\":1,\"checksum\":\"sha256:", "\"}"),
            (
                "{\n  \"a\": 1\n}\n",
                "{\n  \"a\": 1,\n  \"checksum\": \"sha256:",
                "\"\n}\n",
            ),
        ] {
            let record = String::from_utf8(append(text.into())).unwrap();
            let digits = record.strip_prefix(start).unwrap().strip_suffix(end);
            let (covered, _) = record.rsplit_once("\"checksum\"").unwrap();
            let expected = format!("{:x}", Sha256::digest(covered));
            assert_eq!(digits, Some(expected.as_str()));
            assert_eq!(inspect(record.as_bytes()), Checksum::Intact);
            assert_eq!(inspect(text.as_bytes()), Checksum::Absent);
            assert_eq!(
                inspect(record.replace('1', "2").as_bytes()),
                Checksum::Broken
            );
        }
        assert_eq!(inspect(b""), Checksum::Absent);
    }
}
