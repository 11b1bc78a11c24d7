//! Decodes a gzip file of JSON lines as its bytes arrive: inflates, counts and checks the lines.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::write::MultiGzDecoder;

use crate::error::Result;
use crate::format::json::row_check::{self, RowCheck};
use crate::format::{DecodeOutcome, FileDecoder};
use crate::schema::ExportSchema;

/// The maximum length of a line, in bytes; a file with a longer one is not JSON lines.
const MAX_LINE: usize = 64 << 20;

/// Opens a decoder of rows of `schema`.
pub(super) fn open(schema: &Arc<ExportSchema>) -> Result<Box<dyn FileDecoder>> {
    Ok(Box::new(JsonDecoder::new(Some(Arc::clone(schema)))))
}

/// Decodes one gzip file of JSON lines.
pub(super) struct JsonDecoder {
    gzip: MultiGzDecoder<LineChecker>,
    /// The first failure; the bytes after it are ignored.
    failure: Option<io::Error>,
}

impl JsonDecoder {
    /// Creates a decoder; without a schema any object is a row.
    pub(super) fn new(schema: Option<Arc<ExportSchema>>) -> Self {
        let lines = LineChecker {
            schema,
            partial_line: Vec::new(),
            rows: 0,
            mismatches: 0,
            first_mismatch: None,
        };
        Self {
            gzip: MultiGzDecoder::new(lines),
            failure: None,
        }
    }
}

impl FileDecoder for JsonDecoder {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.failure.is_none() {
            self.failure = self.gzip.write_all(bytes).err();
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<DecodeOutcome> {
        let inflated = match self.failure {
            Some(error) => Err(error),
            None => self.gzip.finish(),
        };
        Ok(match inflated.and_then(LineChecker::end) {
            Ok(lines) => DecodeOutcome::Whole {
                rows: lines.rows,
                mismatch: lines.mismatch(),
            },
            Err(error) => DecodeOutcome::Broken(error.to_string()),
        })
    }
}

/// Splits inflated bytes into lines and checks each.
struct LineChecker {
    schema: Option<Arc<ExportSchema>>,
    /// The beginning of a line whose end has not arrived yet.
    partial_line: Vec<u8>,
    rows: u64,
    mismatches: u64,
    first_mismatch: Option<String>,
}

impl LineChecker {
    fn check(&mut self, line: &[u8]) -> io::Result<()> {
        self.rows += 1;
        match row_check::check(line, self.schema.as_deref()) {
            RowCheck::Match => Ok(()),
            RowCheck::Mismatch(complaint) => {
                self.mismatches += 1;
                let number = self.rows;
                self.first_mismatch
                    .get_or_insert_with(|| format!("line {number}: {complaint}"));
                Ok(())
            }
            RowCheck::Broken(reason) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {} is not a JSON object: {reason}", self.rows),
            )),
        }
    }

    /// Checks the last line, which may lack its newline.
    fn end(mut self) -> io::Result<Self> {
        let last = std::mem::take(&mut self.partial_line);
        if !last.is_empty() {
            self.check(&last)?;
        }
        Ok(self)
    }

    fn mismatch(self) -> Option<String> {
        let first = self.first_mismatch?;
        Some(match self.mismatches {
            1 => first,
            mismatches => format!("{first} (and {} more lines)", mismatches - 1),
        })
    }
}

impl Write for LineChecker {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.partial_line.is_empty() {
                self.check(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.partial_line);
                whole.extend_from_slice(line);
                self.check(&whole)?;
                whole.clear();
                // Keeps its capacity for the next line.
                self.partial_line = whole;
            }
            rest = after;
        }
        if self.partial_line.len() + rest.len() > MAX_LINE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {} is longer than 64 MiB", self.rows + 1),
            ));
        }
        self.partial_line.extend_from_slice(rest);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(bytes: &[u8], chunk_size: usize) -> DecodeOutcome {
        let schema: ExportSchema =
            serde_json::from_str(r#"[{"name":"id","type":"int64","nullable":false}]"#).unwrap();
        let mut decoder = open(&Arc::new(schema)).unwrap();
        for chunk in bytes.chunks(chunk_size) {
            decoder.write(chunk).unwrap();
        }
        decoder.finish().unwrap()
    }

    fn whole(rows: u64, mismatch: Option<&str>) -> DecodeOutcome {
        DecodeOutcome::Whole {
            rows,
            mismatch: mismatch.map(str::to_owned),
        }
    }

    #[test]
    fn rows_are_counted_however_the_bytes_arrive() {
        let text: String = (0..1000).map(|id| format!("{{\"id\":{id}}}\n")).collect();
        for chunk_size in [1, 7, 4096] {
            assert_eq!(decoded(&gzip(&text), chunk_size), whole(1000, None));
            assert_eq!(
                decoded(&gzip(text.trim_end()), chunk_size),
                whole(1000, None)
            );
            assert_eq!(decoded(&gzip(""), chunk_size), whole(0, None));
        }
        let mismatches = "{\"id\":1}\n{\"id\":\"a\"}\n{}\n";
        let complaint = "line 2: `id` is a text, not int64 (and 1 more lines)";
        assert_eq!(decoded(&gzip(mismatches), 3), whole(3, Some(complaint)));
    }

    #[test]
    fn damage_is_not_mistaken_for_an_end() {
        let file = gzip("{\"id\":1}\n{\"id\":2}\n");
        let broken = |bytes: &[u8]| matches!(decoded(bytes, 5), DecodeOutcome::Broken(_));
        for end in 0..file.len() {
            assert!(broken(&file[..end]), "cut at {end}");
        }
        // Several members make a file; half a member, or other bytes after one, do not.
        let twice = [&file[..], &file[..]].concat();
        assert_eq!(decoded(&twice, 5), whole(4, None));
        for end in file.len() + 1..twice.len() {
            assert!(broken(&twice[..end]), "cut at {end}");
        }
        for foreign in [&b"\0"[..], b"{}", &[0; 512]] {
            assert!(broken(&[&file[..], foreign].concat()), "{foreign:?}");
        }
        assert!(broken(&gzip("{\"id\":1}\n\n{\"id\":2}\n")));
        let mut flipped = file.clone();
        let last = flipped.len() - 6;
        flipped[last] ^= 1;
        assert!(broken(&flipped));
    }
}
