//! Checks the XML answers of S3 before a deserializer reads them, and finds code and message of errors.
//!
//! `object_store` 0.13.2 has a deserializer that compares each attribute of a tag with all others
//! (RUSTSEC-2026-0194) and keeps every namespace that a tag declares (RUSTSEC-2026-0195), so a small
//! answer can cost minutes. It also takes any document for a page of a listing, since a page may lack every
//! member. The check here is one pass that does neither: what passes it is one whole document, flat, with
//! few attributes.

use quick_xml::Reader;
use quick_xml::errors::{Error as XmlError, IllFormedError, SyntaxError};
use quick_xml::events::{BytesStart, Event};

/// The maximum depth of elements. The deepest answer of S3 has six: an item of a rule of a lifecycle.
const MAX_DEPTH: usize = 16;

/// The maximum length of a tag in bytes, with its attributes. Tags of S3 have a namespace or two.
const MAX_TAG_BYTES: usize = 1024;

/// The maximum number of attributes of a tag.
const MAX_ATTRIBUTES: usize = 8;

/// The maximum length of an error's code and of its message, in characters.
const MAX_CODE: usize = 64;
const MAX_MESSAGE: usize = 300;

/// The reason why bytes are no answer of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum XmlFault {
    /// The document is not over where the bytes are.
    EndsEarly,
    /// The document is not XML.
    NotXml,
    /// The document is XML that no answer of S3 is.
    Unusual(&'static str),
}

impl std::fmt::Display for XmlFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            XmlFault::EndsEarly => f.write_str("it ends early"),
            XmlFault::NotXml => f.write_str("it is not XML"),
            XmlFault::Unusual(what) => write!(f, "it has {what}"),
        }
    }
}

/// Checks that `xml` is one whole document like those of S3, and returns the local name of its root.
pub(super) fn root_of(xml: &[u8]) -> Result<String, XmlFault> {
    let mut reader = Reader::from_reader(xml);
    let (mut root, mut depth) = (None::<String>, 0_usize);
    loop {
        match reader.read_event().map_err(|error| fault_of(&error))? {
            Event::Start(tag) => {
                check_tag(&tag)?;
                if depth == MAX_DEPTH {
                    return Err(XmlFault::Unusual("too many elements inside of each other"));
                }
                enter(&mut root, depth, &tag)?;
                depth += 1;
            }
            Event::Empty(tag) => {
                check_tag(&tag)?;
                enter(&mut root, depth, &tag)?;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::DocType(_) => return Err(XmlFault::Unusual("a document type")),
            Event::Text(text) if depth == 0 && !is_blank(&text) => return Err(XmlFault::NotXml),
            Event::Eof => break,
            _ => {}
        }
    }
    match root {
        Some(root) if depth == 0 => Ok(root),
        _ => Err(XmlFault::EndsEarly),
    }
}

/// Returns true for space, and for a mark of the byte order, which may stand at the beginning.
fn is_blank(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.iter().all(u8::is_ascii_whitespace)
}

/// Notes the root; a document has one.
fn enter(root: &mut Option<String>, depth: usize, tag: &BytesStart<'_>) -> Result<(), XmlFault> {
    if depth > 0 {
        return Ok(());
    }
    let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
    match root.replace(name) {
        None => Ok(()),
        Some(_) => Err(XmlFault::Unusual("more than one root")),
    }
}

fn check_tag(tag: &BytesStart<'_>) -> Result<(), XmlFault> {
    if tag.len() > MAX_TAG_BYTES {
        return Err(XmlFault::Unusual("a tag that is too long"));
    }
    // Values may have more of these: too many are refused either way.
    if tag.iter().filter(|byte| **byte == b'=').count() > MAX_ATTRIBUTES {
        return Err(XmlFault::Unusual("a tag with too many attributes"));
    }
    Ok(())
}

fn fault_of(error: &XmlError) -> XmlFault {
    match error {
        // What was begun is not closed before the end of the bytes.
        XmlError::Syntax(SyntaxError::InvalidBangMarkup) => XmlFault::NotXml,
        XmlError::Syntax(_) | XmlError::IllFormed(IllFormedError::UnclosedReference) => {
            XmlFault::EndsEarly
        }
        _ => XmlFault::NotXml,
    }
}

/// Returns code and message of an error's body, `AccessDenied: Access Denied`, without the other
/// members: they name keys and hosts, and hold the signed request with its token. Returns `None` if
/// there is no code.
pub(super) fn code_and_message(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let code = member(&text, "Code").filter(|code| is_code(code))?;
    Some(match member(&text, "Message") {
        Some(message) if !message.is_empty() => {
            format!("{code}: {}", shortened(&message, MAX_MESSAGE))
        }
        _ => code,
    })
}

/// Returns the error code of an error's body, such as `AccessDenied`.
pub(super) fn code_of(body: &[u8]) -> Option<String> {
    member(&String::from_utf8_lossy(body), "Code").filter(|code| is_code(code))
}

fn is_code(code: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=MAX_CODE).contains(&code.len()) && code.chars().all(is_part)
}

/// Returns the text of the first element of a name; it may be the last one that has arrived.
fn member(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    // Markup inside is none of S3.
    let end = text.find('<').unwrap_or(text.len());
    let plain = text.get(..end)?.trim();
    let decoded = quick_xml::escape::unescape(plain).ok();
    Some(decoded.map_or_else(|| plain.to_owned(), |decoded| decoded.into_owned()))
}

fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
        <Contents><Key>a&amp;b</Key><Owner><ID>x</ID></Owner></Contents><Prefix/></ListBucketResult>\n";

    #[test]
    fn a_whole_document_has_a_root() {
        assert_eq!(root_of(PAGE.as_bytes()).unwrap(), "ListBucketResult");
        assert_eq!(root_of(b"\xef\xbb\xbf<s3:A/>").unwrap(), "A");
    }

    #[test]
    fn every_document_that_is_cut_ends_early() {
        let whole = PAGE.trim_end();
        for end in 0..whole.len() {
            let cut = root_of(&whole.as_bytes()[..end]);
            assert_eq!(cut, Err(XmlFault::EndsEarly), "{}", &whole[..end]);
        }
    }

    #[test]
    fn what_is_no_answer_is_refused_in_one_pass() {
        let many: String = (0..50_000).map(|n| format!(" a{n}=\"\"")).collect();
        let long = format!("<A a=\"{}\"/>", "x".repeat(2_000));
        let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
        let spaces: String = (0..9).map(|n| format!(" xmlns:a{n}=\"u\"")).collect();
        for (xml, fault) in [
            (
                format!("<A{many}/>"),
                XmlFault::Unusual("a tag that is too long"),
            ),
            (long, XmlFault::Unusual("a tag that is too long")),
            (
                deep,
                XmlFault::Unusual("too many elements inside of each other"),
            ),
            (
                format!("<A{spaces}/>"),
                XmlFault::Unusual("a tag with too many attributes"),
            ),
            (
                "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>".to_owned(),
                XmlFault::Unusual("a document type"),
            ),
            (
                "<a></a><b></b>".to_owned(),
                XmlFault::Unusual("more than one root"),
            ),
            ("oops".to_owned(), XmlFault::NotXml),
            ("<a></b>".to_owned(), XmlFault::NotXml),
        ] {
            let start: String = xml.chars().take(60).collect();
            assert_eq!(root_of(xml.as_bytes()), Err(fault), "{start}");
        }
    }

    #[test]
    fn errors_are_code_and_message() {
        let body = "<?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code>\
            <Message>It does not match &amp; that is it.</Message>\
            <CanonicalRequest>x-amz-security-token:SECRET</CanonicalRequest></Error>";
        assert_eq!(
            code_and_message(body.as_bytes()).unwrap(),
            "SignatureDoesNotMatch: It does not match & that is it."
        );
        assert_eq!(
            code_of(body.as_bytes()).as_deref(),
            Some("SignatureDoesNotMatch")
        );
        let only_code = b"<Error><Code>NoSuchKey</Code></Error>";
        assert_eq!(code_and_message(only_code).unwrap(), "NoSuchKey");
        let long = format!(
            "<Code>A</Code><Message>{}</Message>",
            "\u{e9}".repeat(1_000)
        );
        assert_eq!(
            code_and_message(long.as_bytes()).unwrap().chars().count(),
            304
        );
        for none in ["", "<html>502</html>", "<Code>a b</Code>", "<Code>x"] {
            assert_eq!(code_and_message(none.as_bytes()), None, "{none}");
        }
    }
}
