//! Random JSON lines; equal seeds give equal lines.

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use fastrand::Rng;

/// A generator of JSON lines for a schema.
pub(crate) struct LineGenerator<'a> {
    pub(crate) random: &'a mut Rng,
    /// True if every line is a row, written in the form that the fast decoder reads.
    pub(crate) is_regular: bool,
}

impl LineGenerator<'_> {
    fn below(&mut self, limit: usize) -> usize {
        self.random.usize(..limit)
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn one_of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }

    /// Returns a line without its newline.
    pub(crate) fn line(&mut self, fields: &Fields) -> String {
        let mut line = self.space().to_owned();
        self.object(fields, &mut line);
        line.push_str(self.space());
        if self.is_irregular() {
            line.push_str(self.one_of(&["{}", ",", "]", "null", "\u{c}", "}"]));
        }
        line
    }

    /// Returns true if the next part of the line is to be irregular.
    fn is_irregular(&mut self) -> bool {
        !self.is_regular && self.once_in(60)
    }

    fn space(&mut self) -> &'static str {
        match self.below(12) {
            0 => self.one_of(&[" ", "\t", "\r", " \t \r "]),
            _ => "",
        }
    }

    fn object(&mut self, fields: &Fields, line: &mut String) {
        let mut members: Vec<Option<&Field>> = Vec::new();
        for field in fields {
            let is_missing = field.is_nullable() && self.once_in(4);
            if !is_missing && !self.is_irregular() {
                members.push(Some(field));
            }
            if self.is_irregular() {
                members.push(Some(field));
            }
            if self.once_in(10) {
                members.push(None);
            }
        }
        if self.once_in(3) {
            self.random.shuffle(&mut members);
        }
        line.push('{');
        for (n, member) in members.into_iter().enumerate() {
            if n > 0 && !self.is_irregular() {
                line.push(',');
            }
            line.push_str(self.space());
            match member {
                Some(field) => line.push_str(&format!("\"{}\"", field.name())),
                None if self.is_regular => line.push_str(&format!("\"?{}\"", self.below(50))),
                None => self.string(line),
            }
            line.push_str(self.space());
            line.push(':');
            line.push_str(self.space());
            match member {
                Some(field) => self.value(field.data_type(), field.is_nullable(), line),
                None => self.any(line, 0),
            }
            line.push_str(self.space());
        }
        if self.is_irregular() {
            line.push(',');
        }
        line.push('}');
    }

    fn value(&mut self, data_type: &DataType, nullable: bool, line: &mut String) {
        if self.is_irregular() {
            return self.any(line, 0);
        }
        if (nullable && self.once_in(6)) || self.is_irregular() {
            return line.push_str("null");
        }
        match data_type {
            DataType::Struct(fields) => self.object(fields, line),
            DataType::List(element) | DataType::LargeList(element) => {
                line.push('[');
                for n in 0..self.below(4) {
                    if n > 0 {
                        line.push(',');
                    }
                    line.push_str(self.space());
                    self.value(element.data_type(), element.is_nullable(), line);
                    line.push_str(self.space());
                }
                line.push(']');
            }
            DataType::Boolean => line.push_str(self.one_of(&["true", "false"])),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => self.string(line),
            DataType::Float32 | DataType::Float64 => line.push_str(&self.float()),
            DataType::Date32 => line.push_str(&format!("\"{}\"", self.date())),
            DataType::Timestamp(unit, _) => {
                let time = self.time(*unit);
                line.push_str(&format!("\"{}T{time}\"", self.date()));
            }
            _ => line.push_str(&self.integer(data_type)),
        }
    }

    fn integer(&mut self, data_type: &DataType) -> String {
        let (bits, signed) = match data_type {
            DataType::Int8 => (8, true),
            DataType::Int16 => (16, true),
            DataType::Int32 => (32, true),
            DataType::Int64 => (64, true),
            DataType::UInt8 => (8, false),
            DataType::UInt16 => (16, false),
            DataType::UInt32 => (32, false),
            // The fast decoder reads no more than 19 digits.
            _ => (63, false),
        };
        if self.is_irregular() {
            let odd = [
                "-0",
                "00",
                "-01",
                "1.0",
                "1.5",
                "1e2",
                "-",
                "18446744073709551615",
                "256",
                "-129",
                "9223372036854775808",
                "-9223372036854775809",
                "4294967296",
                "\"12\"",
                "+1",
                "1-1",
                "99999999999999999999999999",
                "0x1",
                "1e400",
                "1_000",
                "1.",
                "\" 1\"",
            ];
            return self.one_of(&odd).to_owned();
        }
        let all = self.random.u64(..) >> (64 - bits);
        let value = i128::from(all >> self.below(bits));
        let min = -(1_i128 << (bits - 1));
        match self.below(8) {
            0 if signed => min.to_string(),
            1 if signed => (-min - 1).to_string(),
            0 => ((1_i128 << bits) - 1).to_string(),
            _ if signed => (value + min).to_string(),
            _ => value.to_string(),
        }
    }

    fn float(&mut self) -> String {
        if self.is_irregular() {
            let odd = [
                "1e999", "-1e999", "NaN", "01.5", "1.", ".5", "1e", "\"1.5\"", "1e+", "--1",
            ];
            return self.one_of(&odd).to_owned();
        }
        let digits = self.random.u64(..) >> self.below(64);
        let sign = self.one_of(&["", "-"]);
        match self.below(7) {
            0 => format!("{sign}{digits}"),
            1 => format!("{sign}0.{digits:05}"),
            2 => format!("{sign}{}.{}", self.below(100_000), self.below(100_000)),
            3 => format!("{sign}{}e{}", self.below(1000), self.below(30)),
            4 => format!("{sign}{}.5E-{:03}", self.below(1000), self.below(60)),
            5 => format!(
                "{sign}{}{:019}.25e+1",
                1 + (digits >> 33),
                self.random.u64(..) >> 1
            ),
            _ => self
                .one_of(&["0", "-0", "0.0", "-0.0e0", "1e-400", "16777217", "0.1"])
                .to_owned(),
        }
    }

    fn date(&mut self) -> String {
        if self.is_irregular() {
            let odd = [
                "2026-02-29",
                "2026-1-5",
                "2026-13-01",
                "2026-00-10",
                "2026-04-31",
                "20260101",
                "+2026-01-01",
                "1900-02-29",
                "2026-01-00",
                "2026/01/01",
                "",
            ];
            return self.one_of(&odd).to_owned();
        }
        let known = [
            "2000-02-29",
            "2024-02-29",
            "1970-01-01",
            "1969-12-31",
            "1999-12-31",
            "1900-03-01",
        ];
        if self.once_in(3) {
            return self.one_of(&known).to_owned();
        }
        // The years that 64 bits of nanoseconds since 1970 reach.
        let year = 1678 + self.below(584);
        let (month, day) = (1 + self.below(12), 1 + self.below(28));
        format!("{year:04}-{month:02}-{day:02}")
    }

    fn time(&mut self, unit: TimeUnit) -> String {
        if self.is_irregular() {
            let odd = [
                "00:00:00",
                "24:00:00Z",
                "23:59:60Z",
                "00:60:00Z",
                "00:00:00.Z",
                "000000Z",
                "00:00:00+02:00",
                "00:00:00z",
                "00:00:00.1234567890Z",
                "00:00Z",
                "00:00:00.12",
                "00:00:00 Z",
                "00:00:00.5Europe/Paris",
                "0a:00:00Z",
            ];
            return self.one_of(&odd).to_owned();
        }
        let (h, m, s) = (self.below(24), self.below(60), self.below(60));
        let digits = match unit {
            TimeUnit::Second => self.below(2),
            _ => self.below(10),
        };
        let fraction = format!("{:09}", self.below(1_000_000_000));
        match digits {
            0 => format!("{h:02}:{m:02}:{s:02}Z"),
            _ => format!("{h:02}:{m:02}:{s:02}.{}Z", &fraction[..digits]),
        }
    }

    fn string(&mut self, line: &mut String) {
        let pieces = [
            "a",
            "word",
            " ",
            "é",
            "日本",
            "😀",
            "\u{7f}",
            "/",
            "0123456789abcdef",
            ":,{}[]",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\u00e9",
            "\\uD83D\\ude00",
            "\\u0000",
            "\\t",
            "https://example.org/a/long/path/that/does/not/fit/into/a/block/of/sixteen/bytes",
        ];
        let odd = [
            "\\ud800",
            "\\udc00",
            "\\ud800\\u0041",
            "\\x",
            "\\u12g4",
            "\t",
            "\\",
            "\u{1}",
        ];
        line.push('"');
        for _ in 0..self.below(5) {
            line.push_str(self.one_of(&pieces));
        }
        if self.is_irregular() {
            line.push_str(self.one_of(&odd));
        }
        line.push('"');
    }

    /// Appends any JSON value.
    fn any(&mut self, line: &mut String, depth: usize) {
        match self.below(if depth > 3 { 5 } else { 7 }) {
            0 => line.push_str(self.one_of(&["true", "false", "null"])),
            1 => line.push_str(&self.integer(&DataType::Int32)),
            2 => line.push_str(&self.float()),
            3 | 4 => self.string(line),
            5 => {
                line.push('[');
                for n in 0..self.below(3) {
                    line.push_str(if n > 0 { ", " } else { "" });
                    self.any(line, depth + 1);
                }
                line.push_str(self.space());
                line.push(']');
            }
            _ => {
                line.push('{');
                for n in 0..self.below(3) {
                    line.push_str(if n > 0 { "," } else { " " });
                    self.string(line);
                    line.push_str(": ");
                    self.any(line, depth + 1);
                }
                line.push('}');
            }
        }
    }
}

/// Returns a line with a few bytes flipped, deleted, inserted or cut off, and without a newline.
pub(crate) fn mutated(random: &mut Rng, line: &str) -> Vec<u8> {
    const LIKELY: &[u8] = b"\"\\{}[]:,.-+eE0123456789ntfu \t\r\xFF\xC3\xA9\x00";
    let mut bytes = line.as_bytes().to_vec();
    for _ in 0..random.usize(1..=3) {
        if bytes.is_empty() {
            break;
        }
        let at = random.usize(..bytes.len());
        match random.usize(..5) {
            0 => bytes[at] ^= 1 << random.usize(..8),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, LIKELY[random.usize(..LIKELY.len())]),
            3 => bytes[at] = LIKELY[random.usize(..LIKELY.len())],
            _ if random.usize(..3) == 0 => bytes.truncate(at),
            _ => {
                let end = bytes.len().min(at + random.usize(..20));
                let copied = bytes[at..end].to_vec();
                let to = random.usize(..bytes.len());
                bytes.splice(to..to, copied);
            }
        }
    }
    bytes.retain(|byte| *byte != b'\n');
    bytes
}
