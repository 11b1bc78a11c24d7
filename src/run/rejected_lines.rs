//! Copies malformed lines with their texts to the operator's place.
//!
//! The destination is somebody else's: it has where the lines are and why they are malformed, and no
//! value. The operator, who has the sources anyway, gets the text, too, also if the table then fails.

use bytes::Bytes;
use serde::Serialize;

use crate::error::Result;
use crate::format::json;
use crate::layout;
use crate::run::context::Delivery;
use crate::run::report::{RejectedLines, RejectedLinesFile};
use crate::scan::rejects::{Reject, RejectedLine};
use crate::scan::scan_log::SourceScan;
use crate::store::Destination;

/// The size from which a file ends, in bytes before compression: its lines are in memory while it is
/// written.
const MAX_FILE_BYTES: usize = 8 << 20;

/// A line of a file: all that is on record in the destination, and what may be personal.
#[derive(Serialize)]
struct LineRecord<'a> {
    #[serde(flatten)]
    reject: &'a Reject,
    /// The rejected value as it is written in the line, at most its beginning.
    value: Option<&'a str>,
    /// The length of the line without its newline, in bytes.
    length: u64,
    /// The text of the line, at most its beginning.
    text: Option<&'a str>,
}

impl<'a> LineRecord<'a> {
    fn of(line: &'a RejectedLine) -> Self {
        let text = line.text.as_ref();
        Self {
            reject: &line.reject,
            value: text.and_then(|text| text.value.as_deref()),
            length: line.length,
            text: text.map(|text| text.line.as_str()),
        }
    }
}

/// Copies the malformed lines of each source to the operator's place, if there is one. A failure is noted
/// in `copied` and does not fail the table: the lines stay in the source, where their record leads.
pub(super) async fn copy_rejected_lines(
    delivery: &Delivery<'_>,
    sources: &[SourceScan],
    copied: &mut RejectedLines,
) {
    let Some(place) = &delivery.context.rejected_lines else {
        return;
    };
    // That of an earlier attempt of this delivery, if there was one.
    copied.error = None;
    for source in sources.iter().filter(|source| !source.rejects.is_empty()) {
        if let Err(error) = copy_source(delivery, place, source, copied).await {
            copied.error = Some(error.chain());
            return;
        }
    }
}

async fn copy_source(
    delivery: &Delivery<'_>,
    place: &Destination,
    source: &SourceScan,
    copied: &mut RejectedLines,
) -> Result<()> {
    let mut lines = source.rejects.read_lines()?;
    loop {
        let in_file = lines_of_file(&mut lines)?;
        if in_file.is_empty() {
            return Ok(());
        }
        let records: Vec<LineRecord<'_>> = in_file.iter().map(LineRecord::of).collect();
        let text = json::encode_lines(&records)?;
        // A second attempt of the same run continues the numbers of the first.
        let earlier = copied
            .files
            .iter()
            .filter(|file| file.source == source.name);
        let number = earlier.count() as u64 + 1;
        let (table, run_id) = (&delivery.definition.table, &delivery.context.run_id);
        let key = layout::rejected_lines_file(&source.name, delivery.cycle, table, run_id, number);
        let file = RejectedLinesFile {
            source: source.name.clone(),
            path: place.address_of(&key),
            rows: in_file.len() as u64,
            without_text: in_file.iter().filter(|line| line.text.is_none()).count() as u64,
            bytes: text.len() as u64,
        };
        place.put(&key, Bytes::from(text)).await?;
        copied.files.push(file);
    }
}

/// Takes the lines of the next file; none at the end.
fn lines_of_file(
    lines: &mut impl Iterator<Item = Result<RejectedLine>>,
) -> Result<Vec<RejectedLine>> {
    let (mut in_file, mut bytes) = (Vec::new(), 0);
    while bytes < MAX_FILE_BYTES {
        let Some(line) = lines.next().transpose()? else {
            break;
        };
        bytes += line.buffered_bytes();
        in_file.push(line);
    }
    Ok(in_file)
}
