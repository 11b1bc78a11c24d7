//! The pattern of one folder's or file's name: text, `*`, `?` and placeholders such as `{year}`.

use serde::{Deserialize, Serialize};

use crate::listing::time_parts::TimePart;

/// The characters that a backslash makes plain text.
pub(super) const SPECIAL: [char; 5] = ['*', '?', '{', '}', '\\'];

/// The pattern of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamePattern {
    pieces: Vec<Piece>,
}

/// One piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Piece {
    Text(String),
    /// `*`: any text, also none.
    AnyText,
    /// `?`: one character.
    AnyChar,
    Placeholder(Placeholder),
}

/// A placeholder, which stands for one part of the time, or for the value of a column, or for both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Placeholder {
    pub(super) name: String,
    pub(super) time: Option<TimePart>,
    /// The index of its partition column.
    pub(super) column: Option<usize>,
    /// True if a part of a time has all its digits, because digits or anything may be beside it.
    is_padded: bool,
}

impl NamePattern {
    /// Parses a pattern. Time placeholders are recognised; the others are columns.
    ///
    /// # Errors
    /// The reason, as a sentence about the pattern.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let piece = match c {
                '\\' if rest.peek().is_some_and(|next| SPECIAL.contains(next)) => {
                    plain.extend(rest.next());
                    continue;
                }
                '*' => Piece::AnyText,
                '?' => Piece::AnyChar,
                '{' => Piece::Placeholder(Placeholder::parse(text, &mut rest)?),
                '}' => return Err(format!("`{text}` has a `}}` without a `{{`")),
                c => {
                    plain.push(c);
                    continue;
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            if piece != Piece::AnyText || pieces.last() != Some(&Piece::AnyText) {
                pieces.push(piece);
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        let mut pattern = Self { pieces };
        pattern.refuse_ambiguous(text)?;
        pattern.pad();
        Ok(pattern)
    }

    /// Refuses columns whose values nothing separates.
    fn refuse_ambiguous(&self, text: &str) -> Result<(), String> {
        let is_free = |piece: &Piece| match piece {
            Piece::AnyText | Piece::AnyChar => true,
            Piece::Placeholder(placeholder) => placeholder.time.is_none(),
            Piece::Text(_) => false,
        };
        let is_column = |piece: &Piece| matches!(piece, Piece::Placeholder(p) if p.time.is_none());
        let is_ambiguous = self
            .pieces
            .windows(2)
            .any(|pair| pair.iter().all(is_free) && pair.iter().any(is_column));
        match is_ambiguous {
            true => Err(format!(
                "`{text}` has nothing between a column and what may be anything"
            )),
            false => Ok(()),
        }
    }

    /// Marks the parts of times beside which digits may be.
    fn pad(&mut self) {
        let may_have_digit = |piece: Option<&Piece>, at_end: bool| match piece {
            None => false,
            Some(Piece::Text(text)) => {
                let c = if at_end {
                    text.chars().last()
                } else {
                    text.chars().next()
                };
                c.is_some_and(|c| c.is_ascii_digit())
            }
            Some(_) => true,
        };
        let padded: Vec<bool> = (0..self.pieces.len())
            .map(|index| {
                let before = index
                    .checked_sub(1)
                    .and_then(|index| self.pieces.get(index));
                may_have_digit(before, true) || may_have_digit(self.pieces.get(index + 1), false)
            })
            .collect();
        for (piece, is_padded) in self.pieces.iter_mut().zip(padded) {
            if let Piece::Placeholder(placeholder) = piece {
                placeholder.is_padded = is_padded;
            }
        }
    }

    /// Returns the name, if the pattern is one without placeholders and wildcards.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns the placeholders in their order.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some(placeholder),
            _ => None,
        })
    }

    pub(super) fn placeholders_mut(&mut self) -> impl Iterator<Item = &mut Placeholder> {
        self.pieces.iter_mut().filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some(placeholder),
            _ => None,
        })
    }

    /// Replaces its plain text.
    pub(super) fn map_text(&mut self, map: impl Fn(&str) -> String) {
        for piece in &mut self.pieces {
            if let Piece::Text(text) = piece {
                *text = map(text);
            }
        }
    }

    /// Matches a name. Returns the text of each placeholder, in their order.
    pub(super) fn matches<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        let mut search = Search {
            pieces: &self.pieces,
            name,
            is_hopeless: vec![false; (self.pieces.len() + 1) * (name.len() + 1)],
            ends: Vec::with_capacity(self.pieces.len()),
        };
        if !search.matches(0, 0) {
            return None;
        }
        let starts = std::iter::once(0).chain(search.ends.iter().copied());
        let spans = starts.zip(&search.ends).zip(&self.pieces);
        let values = spans.filter_map(|((start, end), piece)| match piece {
            Piece::Placeholder(_) => name.get(start..*end),
            _ => None,
        });
        Some(values.collect())
    }

    /// Returns the name with the texts that are known in place of its placeholders, and `*` for the
    /// others, and true if one is known.
    pub(super) fn fill(&self, known: impl Fn(&Placeholder) -> Option<String>) -> (String, bool) {
        let (mut name, mut is_known) = (String::new(), false);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::AnyText => name.push('*'),
                Piece::AnyChar => name.push('?'),
                Piece::Placeholder(placeholder) => match known(placeholder) {
                    Some(text) => {
                        name.push_str(&text);
                        is_known = true;
                    }
                    None => name.push('*'),
                },
            }
        }
        (name, is_known)
    }
}

impl Placeholder {
    /// Creates the placeholder of a column.
    pub(super) fn of_column(name: &str, time: Option<TimePart>, column: usize) -> Self {
        Self {
            name: name.to_owned(),
            time,
            column: Some(column),
            is_padded: false,
        }
    }

    /// Parses what follows a `{`, through its `}`.
    fn parse(text: &str, rest: &mut impl Iterator<Item = char>) -> Result<Self, String> {
        let mut name = String::new();
        loop {
            match rest.next() {
                Some('}') => break,
                Some(c) if c.is_alphanumeric() || c == '_' => name.push(c),
                Some(c) => {
                    return Err(format!(
                        "the placeholder `{{{name}` of `{text}` has a `{c}`; names have letters, digits and `_`"
                    ));
                }
                None => return Err(format!("`{text}` has a `{{` without a `}}`")),
            }
        }
        if name.is_empty() {
            return Err(format!("`{text}` has a placeholder without a name"));
        }
        Ok(Self {
            time: TimePart::named(&name),
            name,
            column: None,
            is_padded: false,
        })
    }
}

/// A search for the places where the pieces of a pattern end in a name.
struct Search<'a> {
    pieces: &'a [Piece],
    name: &'a str,
    /// True for a piece and a place from which no match was found.
    is_hopeless: Vec<bool>,
    ends: Vec<usize>,
}

impl Search<'_> {
    /// Returns true if the pieces from the one with this index match the name from `start` to its end.
    fn matches(&mut self, index: usize, start: usize) -> bool {
        let (pieces, name) = (self.pieces, self.name);
        let Some(piece) = pieces.get(index) else {
            return start == name.len();
        };
        let slot = index * (name.len() + 1) + start;
        if self.is_hopeless[slot] {
            return false;
        }
        let rest = &name[start..];
        let mut ends = (1..=rest.len()).filter(|end| rest.is_char_boundary(*end));
        let found = match piece {
            Piece::Text(text) => {
                rest.starts_with(text.as_str()) && self.ends_at(index, start + text.len())
            }
            Piece::AnyChar => ends
                .next()
                .is_some_and(|end| self.ends_at(index, start + end)),
            Piece::AnyText => {
                self.ends_at(index, start) || ends.any(|end| self.ends_at(index, start + end))
            }
            Piece::Placeholder(placeholder) => match placeholder.time {
                None => ends.any(|end| self.ends_at(index, start + end)),
                Some(part) => part.lengths(placeholder.is_padded).any(|length| {
                    rest.get(..length)
                        .is_some_and(|text| part.is_written_as(text))
                        && self.ends_at(index, start + length)
                }),
            },
        };
        self.is_hopeless[slot] = !found;
        found
    }

    /// Tries an end of the piece with this index.
    fn ends_at(&mut self, index: usize, end: usize) -> bool {
        let depth = self.ends.len();
        self.ends.push(end);
        if self.matches(index + 1, end) {
            return true;
        }
        self.ends.truncate(depth);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
        NamePattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn names_match_as_a_whole() {
        for (pattern, name) in [
            ("*", ""),
            ("*.json", "a.json"),
            ("*.json", ".json"),
            ("a?c*", "a\u{e9}c"),
            ("*a*b*", "xxaybz"),
            ("\\*\\{x\\}\\?", "*{x}?"),
            ("a\\b", "a\\b"),
            ("[a]", "[a]"),
        ] {
            assert!(matches(pattern, name).is_some(), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.json", "a.json.md5"),
            ("a?", "a"),
            ("*a*b*", "xxbya"),
            ("\\*", "x"),
            ("A", "a"),
        ] {
            assert_eq!(matches(pattern, name), None, "{pattern} {name}");
        }
    }

    #[test]
    fn parts_of_times_are_found_between_words() {
        let found = |pattern, name| matches(pattern, name).unwrap();
        assert_eq!(
            found("dt={year}{month}{day}-{hour}", "dt=20260115-03"),
            ["2026", "01", "15", "03"]
        );
        assert_eq!(
            found("{year}-{month}-{day}T{hour}", "2026-1-5T3"),
            ["2026", "1", "5", "3"]
        );
        assert_eq!(
            found("*_{date}.json*", "a_b_2026-01-15.json.gz"),
            ["2026-01-15"]
        );
        assert_eq!(found("{date}", "20260115"), ["20260115"]);
        assert_eq!(found("{org}-{hour}00", "a-b-0300"), ["a-b", "03"]);
    }

    #[test]
    fn parts_of_times_beside_digits_have_all_their_digits() {
        for (pattern, name) in [
            ("{year}{month}{day}", "2026115"),
            ("{hour}00", "300"),
            ("{hour}{minute}", "305"),
            ("{year}", "26"),
            ("{year}", "02026"),
            ("{month}", "001"),
            ("{month}", ""),
            ("{month}", "\u{661}"),
            ("{date}", "2026-01-15x"),
        ] {
            assert_eq!(matches(pattern, name), None, "{pattern} {name}");
        }
    }

    #[test]
    fn many_wildcards_end_soon() {
        let pattern = "*a".repeat(60) + "b";
        assert_eq!(matches(&pattern, &"a".repeat(1000)), None);
    }

    #[test]
    fn wrong_patterns_are_explained() {
        for (pattern, reason) in [
            ("{year", "has a `{` without a `}`"),
            ("year}", "has a `}` without a `{`"),
            ("{}", "without a name"),
            ("{a b}", "has a ` `"),
            ("{a}{b}", "nothing between"),
            ("{a}*", "nothing between"),
        ] {
            let error = NamePattern::parse(pattern).unwrap_err();
            assert!(error.contains(reason), "{pattern}: {error}");
        }
    }
}
