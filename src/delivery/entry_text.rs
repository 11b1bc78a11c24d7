//! The text of log entries: written with a checksum, and read in every version ever written.

use object_store::path::Path;
use serde::Deserialize;
use serde_json::Value;

use crate::delivery::log::{LogAction, LogEntry, VERSION};
use crate::error::{Error, Result};
use crate::layout::{self, TableName};
use crate::manifest::{self, RecordHeader, RecordKind, checksummed};

const KIND: RecordKind = RecordKind {
    name: "an entry of the commit log",
    version: VERSION,
};

/// The kinds of actions and of upload tokens that this program knows.
const ACTIONS: [&str; 2] = ["publish", "void"];
const TOKENS: [&str; 2] = ["multipart", "rename"];

/// Serializes an entry as it is stored.
pub(super) fn serialize(entry: &LogEntry) -> Result<Vec<u8>> {
    let text = serde_json::to_vec(entry)
        .map_err(|error| Error::internal("cannot write a log entry").with_source(error))?;
    Ok(checksummed(text))
}

/// Parses the entry `sequence` of the log of `table`.
///
/// # Errors
/// [`Error::outdated`] if a newer program wrote it, and this one does not know what it says;
/// [`Error::data`] if it is not that entry, or not as it was written.
pub(crate) fn parse(table: &TableName, sequence: u64, text: &[u8]) -> Result<LogEntry> {
    let key = layout::log_entry(table, sequence);
    let header = RecordHeader::parse(KIND, &key, text)?;
    let entry: LogEntry = match serde_json::from_slice(text) {
        Ok(entry) => entry,
        Err(error) => return Err(unreadable(&key, header, text, error)),
    };
    if entry.sequence != sequence {
        return Err(Error::data(format!(
            "`{key}` is entry {}, which is not expected at this key",
            entry.sequence
        )));
    }
    if let LogAction::Publish { manifest, .. } = &entry.action {
        if manifest.version > manifest::VERSION {
            let what = format!("an entry with a manifest of version {}", manifest.version);
            let writer = manifest.writer.clone();
            return Err(header.or_writer(Some(writer)).newer(&key, &what));
        }
        if manifest.table != *table {
            return Err(Error::data(format!(
                "`{key}` is an entry of the table `{}`, which is not expected at this key",
                manifest.table
            )));
        }
    }
    Ok(entry)
}

/// The kinds in an entry, of which this program may know none.
#[derive(Deserialize)]
struct Kinds {
    action: ActionKind,
}

#[derive(Deserialize)]
struct ActionKind {
    kind: Value,
    #[serde(default)]
    manifest: Option<Written>,
    #[serde(default)]
    uploads: Vec<UploadKind>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    writer: Option<String>,
}

#[derive(Deserialize)]
struct UploadKind {
    token: TokenKind,
}

#[derive(Deserialize)]
struct TokenKind {
    kind: Value,
}

/// Creates the error of an entry whose header is that of one and whose rest is not.
fn unreadable(key: &Path, header: RecordHeader, text: &[u8], error: serde_json::Error) -> Error {
    let Ok(Kinds { action }) = serde_json::from_slice(text) else {
        return header.unreadable(KIND, key, error);
    };
    let header = header.or_writer(action.manifest.and_then(|manifest| manifest.writer));
    let is_known = |kind: &Value, known: &[&str]| kind.as_str().is_some_and(|k| known.contains(&k));
    if !is_known(&action.kind, &ACTIONS) {
        return header.newer(key, &format!("an entry of the kind {}", action.kind));
    }
    let mut tokens = action.uploads.iter().map(|upload| &upload.token.kind);
    match tokens.find(|kind| !is_known(kind, &TOKENS)) {
        Some(kind) => header.newer(key, &format!("an entry with an upload of the kind {kind}")),
        None => header.unreadable(KIND, key, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::staged::UploadToken;

    /// Entries as version 0.1.0 wrote them, without writer and checksum. They must stay readable
    /// forever: never change them, add other ones.
    const PUBLISH: &str = include_str!("../../tests/it/version_skew/publish.v1.json");
    const VOID: &str = include_str!("../../tests/it/version_skew/void.v1.json");

    fn parse(sequence: u64, text: &str) -> Result<LogEntry> {
        super::parse(&"views".parse().unwrap(), sequence, text.as_bytes())
    }

    #[test]
    fn entries_of_version_1_are_readable_for_ever() {
        let entry = parse(1, PUBLISH).unwrap();
        assert_eq!(entry.manifest().unwrap().rows, 1);
        let LogAction::Publish { uploads, .. } = &entry.action else {
            panic!("a publication");
        };
        assert!(matches!(uploads[1].token, UploadToken::Rename { .. }));
        let void = parse(2, VOID).unwrap();
        assert!(matches!(&void.action, LogAction::Void { delete, .. } if delete.len() == 1));
        assert_eq!(void.state.needs_republish.len(), 1);
        // What is written is read back, and members that are not known are ignored.
        for entry in [entry, void] {
            let written = String::from_utf8(serialize(&entry).unwrap()).unwrap();
            assert!(written.contains("\"checksum\":\"sha256:"), "{written}");
            assert_eq!(parse(entry.sequence, &written).unwrap(), entry);
            let text = serde_json::to_string(&entry).unwrap();
            let grown = text.replacen('{', r#"{"mood": ["unknown"],"#, 1);
            assert_eq!(parse(entry.sequence, &grown).unwrap(), entry);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed_or_harmless() {
        for (sequence, text) in [(1, PUBLISH), (2, VOID)] {
            let table = "views".parse().unwrap();
            let entry = parse(sequence, text).unwrap();
            let written = serialize(&entry).unwrap();
            let mut harmless = 0;
            for index in 0..written.len() {
                for bit in 0..8 {
                    let mut flipped = written.clone();
                    flipped[index] ^= 1 << bit;
                    match super::parse(&table, sequence, &flipped) {
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Data, "{error}"),
                        // Only the name of the checksum can become that of an unknown member.
                        Ok(parsed) => {
                            assert_eq!(parsed, entry, "byte {index}, bit {bit}");
                            harmless += 1;
                        }
                    }
                }
            }
            assert!(harmless < 8 * "checksum".len(), "{harmless}");
        }
    }

    #[test]
    fn what_a_newer_program_wrote_is_told_from_damage() {
        let as_written = |from: &str, to: &str| {
            assert!(PUBLISH.contains(from), "no `{from}`");
            PUBLISH.trim_end().replacen(from, to, 1)
        };
        let kind = |text: &str| {
            let error = parse(1, text).unwrap_err();
            let text = error.render();
            assert_eq!(
                text.contains("dayport 7.5.0 wrote it"),
                error.kind() == ErrorKind::Outdated,
                "{text}"
            );
            error.kind()
        };
        let writer = r#""writer":"dayport 7.5.0","sequence""#;
        for (from, to) in [
            (r#"{"version":1"#, r#"{"version":2"#),
            (r#""kind":"publish""#, r#""kind":99"#),
            (r#""kind":"publish""#, r#""kind":"audit""#),
            (r#""kind":"rename""#, r#""kind":"lease""#),
            (r#""manifest":{"version":1"#, r#""manifest":{"version":2"#),
        ] {
            let newer = as_written(from, to).replacen(r#""sequence""#, writer, 1);
            assert_eq!(kind(&newer), ErrorKind::Outdated, "{newer}");
            // Entries of 0.1.0 had a writer in the manifest alone.
            let older = as_written(from, to).replace("dayport 0.1.0", "dayport 7.5.0");
            if !from.starts_with('{') {
                assert_eq!(kind(&older), ErrorKind::Outdated, "{older}");
            }
        }
        let unknown = as_written(r#""incremental""#, r#""hourly""#);
        assert_eq!(kind(&unknown), ErrorKind::Data, "it may be damaged");
        let newer = unknown.replacen(r#""sequence""#, writer, 1);
        let sealed = String::from_utf8(checksummed(newer.into_bytes())).unwrap();
        assert_eq!(
            kind(&sealed),
            ErrorKind::Outdated,
            "it is as it was written"
        );
        assert_eq!(kind("{"), ErrorKind::Data);
    }

    #[test]
    fn an_entry_belongs_to_its_key() {
        assert_eq!(parse(2, PUBLISH).unwrap_err().kind(), ErrorKind::Data);
        let of_sites = super::parse(&"sites".parse().unwrap(), 1, PUBLISH.as_bytes());
        let error = of_sites.unwrap_err().to_string();
        assert!(error.contains("an entry of the table `views`"), "{error}");
    }
}
