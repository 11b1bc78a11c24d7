//! The bytes of a gzip file of JSON lines, taken as they come: inflated, counted, held against
//! the schema.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::write::MultiGzDecoder;

use crate::schema::ExportSchema;
use crate::verify::check::Decoded;
use crate::verify::row::{self, Line};

/// No row is that long, in bytes; what is, is not JSON lines.
const LONGEST_LINE: usize = 64 << 20;

/// Decodes one file.
pub struct JsonDecoder {
    gzip: MultiGzDecoder<Lines>,
    failed: Option<io::Error>,
}

impl JsonDecoder {
    /// Without a schema any object is a row.
    pub fn new(schema: Option<Arc<ExportSchema>>) -> Self {
        let lines = Lines {
            schema,
            begun: Vec::new(),
            rows: 0,
            misfits: 0,
            first_misfit: None,
        };
        Self {
            gzip: MultiGzDecoder::new(lines),
            failed: None,
        }
    }

    /// Takes the next bytes; after a failure it takes them and does nothing.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.gzip.write_all(bytes).err();
        }
    }

    pub fn finish(self) -> Decoded {
        let ended = match self.failed {
            Some(error) => Err(error),
            None => self.gzip.finish(),
        };
        match ended.and_then(Lines::end) {
            Ok(lines) => Decoded::Whole {
                rows: lines.rows,
                misfit: lines.misfit(),
            },
            Err(error) => Decoded::Broken(error.to_string()),
        }
    }
}

/// Inflated bytes, split into lines.
struct Lines {
    schema: Option<Arc<ExportSchema>>,
    /// The beginning of the line whose end has not come yet.
    begun: Vec<u8>,
    rows: u64,
    misfits: u64,
    first_misfit: Option<String>,
}

impl Lines {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.rows += 1;
        match row::check(line, self.schema.as_deref()) {
            Line::Row => Ok(()),
            Line::Misfit(complaint) => {
                self.misfits += 1;
                let number = self.rows;
                self.first_misfit
                    .get_or_insert_with(|| format!("line {number}: {complaint}"));
                Ok(())
            }
            Line::Broken(reason) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {} is not a JSON object: {reason}", self.rows),
            )),
        }
    }

    /// The last line may lack its end.
    fn end(mut self) -> io::Result<Self> {
        let last = std::mem::take(&mut self.begun);
        if !last.is_empty() {
            self.line(&last)?;
        }
        Ok(self)
    }

    fn misfit(self) -> Option<String> {
        let first = self.first_misfit?;
        Some(match self.misfits {
            1 => first,
            misfits => format!("{first} (and {} more lines)", misfits - 1),
        })
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.begun.is_empty() {
                self.line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.begun);
                whole.extend_from_slice(line);
                self.line(&whole)?;
                whole.clear();
                // Keeps its capacity for the next one.
                self.begun = whole;
            }
            rest = after;
        }
        if self.begun.len() + rest.len() > LONGEST_LINE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {} is longer than 64 MiB", self.rows + 1),
            ));
        }
        self.begun.extend_from_slice(rest);
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

    fn decoded(bytes: &[u8], piece: usize) -> Decoded {
        let schema: ExportSchema =
            serde_json::from_str(r#"[{"name":"id","type":"int64","nullable":false}]"#).unwrap();
        let mut decoder = JsonDecoder::new(Some(Arc::new(schema)));
        for piece in bytes.chunks(piece) {
            decoder.write(piece);
        }
        decoder.finish()
    }

    fn whole(rows: u64, misfit: Option<&str>) -> Decoded {
        Decoded::Whole {
            rows,
            misfit: misfit.map(str::to_owned),
        }
    }

    #[test]
    fn rows_are_counted_however_the_bytes_come() {
        let text: String = (0..1000).map(|id| format!("{{\"id\":{id}}}\n")).collect();
        for piece in [1, 7, 4096] {
            assert_eq!(decoded(&gzip(&text), piece), whole(1000, None));
            assert_eq!(decoded(&gzip(text.trim_end()), piece), whole(1000, None));
            assert_eq!(decoded(&gzip(""), piece), whole(0, None));
        }
        let misfits = "{\"id\":1}\n{\"id\":\"a\"}\n{}\n";
        let complaint = "line 2: `id` is a text, not int64 (and 1 more lines)";
        assert_eq!(decoded(&gzip(misfits), 3), whole(3, Some(complaint)));
    }

    #[test]
    fn damage_is_not_taken_for_an_end() {
        let file = gzip("{\"id\":1}\n{\"id\":2}\n");
        let broken = |bytes: &[u8]| matches!(decoded(bytes, 5), Decoded::Broken(_));
        for end in 0..file.len() {
            assert!(broken(&file[..end]), "cut at {end}");
        }
        // The members of a file are a file; what is half a member, or none, is not.
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
