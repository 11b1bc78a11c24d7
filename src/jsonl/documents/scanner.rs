//! The frame around records, parsed piece by piece: where each record begins and ends.

use crate::jsonl::chunk::OVERSIZED_HEAD_BYTES;
use crate::jsonl::documents::found::{Break, Found, WithoutList};
use crate::jsonl::documents::piece::{Piece, is_space};
use crate::jsonl::documents::structure::Structure;
use crate::jsonl::framing::RecordPath;

/// The maximum length of a key that is compared, as it is written, in bytes.
const MAX_KEY_BYTES: usize = 4096;

/// Parses the frame of one file.
pub(super) struct Scanner {
    path: RecordPath,
    state: State,
    /// The number of objects of the path that are open.
    level: usize,
    /// The start of the open document.
    document: u64,
    /// The first bytes of the open document, from the pieces before; only of documents with keys.
    head: Vec<u8>,
    /// True if the path led to a list in the open document.
    has_list: bool,
    /// The value that the path led to in place of another one: the one that is expected, and its kind.
    mismatch: Option<(&'static str, &'static str)>,
    /// The key that is read, as it is written, without its quotes.
    key: Vec<u8>,
    is_escaped: bool,
}

/// The state between two bytes.
enum State {
    /// Between documents.
    Between,
    /// Behind the opening bracket of the list.
    FirstItem,
    /// Behind a comma of the list.
    Item,
    /// Behind an item.
    ItemEnd,
    /// Behind the opening bracket of an object.
    FirstKey,
    /// Behind a comma of an object.
    Key,
    /// Inside a key.
    InKey,
    /// Behind a key.
    Colon,
    /// Behind a colon.
    Member,
    /// Behind a member.
    MemberEnd,
    /// Inside a value.
    Value { start: u64, role: Role, form: Form },
}

/// The part that a value has in the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A document that is a record.
    Document,
    /// An item of the list.
    Item,
    /// A member of an object of the path.
    Member,
    /// A document of another kind than the path begins with.
    Mismatch,
}

/// The form of a value, by which its end is found.
enum Form {
    Brackets(Structure),
    Text { is_escaped: bool },
    Scalar,
}

impl Scanner {
    pub(super) fn new(path: RecordPath) -> Self {
        Self {
            path,
            state: State::Between,
            level: 0,
            document: 0,
            head: Vec::new(),
            has_list: false,
            mismatch: None,
            key: Vec::new(),
            is_escaped: false,
        }
    }

    /// Returns the start of the record that is open.
    pub(super) fn open_record(&self) -> Option<u64> {
        match &self.state {
            State::Value {
                start,
                role: Role::Document | Role::Item,
                ..
            } => Some(*start),
            _ => None,
        }
    }

    /// Parses the next piece of the text, which begins at the offset `base`.
    ///
    /// # Errors
    /// Returns the break if the piece cannot be the frame of records. What was found before is in `found`.
    pub(super) fn scan(
        &mut self,
        text: &[u8],
        base: u64,
        found: &mut Vec<Found>,
    ) -> Result<(), Break> {
        let mut piece = Piece {
            text,
            base,
            at: 0,
            found,
        };
        while piece.at < text.len() {
            self.step(&mut piece)?;
        }
        if self.has_head() && !matches!(self.state, State::Between) {
            self.keep_head(&piece);
        }
        Ok(())
    }

    /// Ends the text, whose length is `end`.
    ///
    /// # Errors
    /// Returns the break if a record, a list or a document is open.
    pub(super) fn finish(&mut self, end: u64, found: &mut Vec<Found>) -> Result<(), Break> {
        if let State::Value {
            start,
            role,
            form: Form::Scalar,
        } = self.state
            && matches!(role, Role::Document | Role::Mismatch)
        {
            let mut piece = Piece {
                text: b"",
                base: end,
                at: 0,
                found,
            };
            self.end_value(start, role, &mut piece);
        }
        let (offset, reason, head) = match &self.state {
            State::Between => return Ok(()),
            State::Value {
                start,
                role: Role::Document | Role::Item,
                ..
            } => (*start, "the file ends inside of this record", None),
            State::FirstItem | State::Item | State::ItemEnd => (
                end,
                "the file ends before the list of its records does",
                None,
            ),
            _ if self.has_list => (end, "the file ends inside of a document", None),
            _ => {
                let head = std::mem::take(&mut self.head);
                let reason = "the file ends inside of a document";
                (self.document, reason, Some(head))
            }
        };
        Err(Break {
            offset,
            reason: reason.to_owned(),
            head,
        })
    }

    /// Takes the next bytes that belong together.
    fn step(&mut self, piece: &mut Piece<'_>) -> Result<(), Break> {
        if let State::Value { start, role, form } = &mut self.state {
            let (start, role) = (*start, *role);
            match form.find_end(piece.text, piece.at) {
                Some(end) => {
                    piece.at = end;
                    self.end_value(start, role, piece);
                }
                None => piece.at = piece.text.len(),
            }
            return Ok(());
        }
        if matches!(self.state, State::InKey) {
            self.read_key(piece);
            return Ok(());
        }
        let Some(byte) = piece.next_visible() else {
            return Ok(());
        };
        match self.state {
            State::Between => return self.begin_document(byte, piece),
            State::FirstItem | State::Item | State::ItemEnd => self.in_list(byte, piece)?,
            _ => self.in_object(byte, piece)?,
        }
        Ok(())
    }

    fn begin_document(&mut self, byte: u8, piece: &mut Piece<'_>) -> Result<(), Break> {
        self.document = piece.offset();
        (self.has_list, self.mismatch) = (false, None);
        self.head.clear();
        let is_object = byte == b'{';
        match (self.path.members(), self.path.is_list()) {
            ([], false) => return self.begin_value(byte, Role::Document, "a value", piece),
            ([], true) if byte == b'[' => {
                self.has_list = true;
                self.state = State::FirstItem;
            }
            ([], true) if is_object && self.path.takes_objects() => {
                return self.begin_value(byte, Role::Document, "a value", piece);
            }
            ([_, ..], _) if is_object => {
                self.level = 1;
                self.state = State::FirstKey;
            }
            _ => {
                let expected = match self.path.members() {
                    [] => "a list",
                    _ => "an object",
                };
                self.mismatch = kind(byte).map(|found| (expected, found));
                return self.begin_value(byte, Role::Mismatch, "a value", piece);
            }
        }
        piece.at += 1;
        Ok(())
    }

    fn in_list(&mut self, byte: u8, piece: &mut Piece<'_>) -> Result<(), Break> {
        match (&self.state, byte) {
            (State::FirstItem | State::ItemEnd, b']') => {
                piece.at += 1;
                if self.level == 0 {
                    self.end_document(piece);
                } else {
                    self.state = State::MemberEnd;
                }
            }
            (State::ItemEnd, b',') => {
                piece.at += 1;
                self.state = State::Item;
            }
            (State::ItemEnd, _) => return Err(piece.invalid("`,` or `]`")),
            (State::FirstItem, _) => {
                return self.begin_value(byte, Role::Item, "a value or `]`", piece);
            }
            _ => return self.begin_value(byte, Role::Item, "a value", piece),
        }
        Ok(())
    }

    fn in_object(&mut self, byte: u8, piece: &mut Piece<'_>) -> Result<(), Break> {
        match (&self.state, byte) {
            (State::FirstKey | State::Key, b'"') => {
                self.key.clear();
                self.is_escaped = false;
                self.state = State::InKey;
            }
            (State::FirstKey | State::MemberEnd, b'}') => {
                piece.at += 1;
                self.level -= 1;
                if self.level == 0 {
                    self.end_document(piece);
                } else {
                    self.state = State::MemberEnd;
                }
                return Ok(());
            }
            (State::MemberEnd, b',') => self.state = State::Key,
            (State::Colon, b':') => self.state = State::Member,
            (State::Member, _) => return self.begin_member(byte, piece),
            (State::MemberEnd, _) => return Err(piece.invalid("`,` or `}`")),
            (State::Colon, _) => return Err(piece.invalid("`:`")),
            _ => return Err(piece.invalid("a key in double quotes")),
        }
        piece.at += 1;
        Ok(())
    }

    fn begin_member(&mut self, byte: u8, piece: &mut Piece<'_>) -> Result<(), Break> {
        let members = self.path.members();
        let member = members.get(self.level - 1);
        if !member.is_some_and(|member| is_key(&self.key, member)) {
            return self.begin_value(byte, Role::Member, "a value", piece);
        }
        match (self.level == members.len(), byte) {
            (true, b'[') => {
                self.has_list = true;
                self.state = State::FirstItem;
            }
            (false, b'{') => {
                self.level += 1;
                self.state = State::FirstKey;
            }
            (is_last, _) => {
                let expected = if is_last { "a list" } else { "an object" };
                self.mismatch = kind(byte).map(|found| (expected, found));
                return self.begin_value(byte, Role::Member, "a value", piece);
            }
        }
        piece.at += 1;
        Ok(())
    }

    fn begin_value(
        &mut self,
        byte: u8,
        role: Role,
        expected: &str,
        piece: &mut Piece<'_>,
    ) -> Result<(), Break> {
        let start = piece.offset();
        let form = match byte {
            b'{' | b'[' => Form::Brackets(Structure::default()),
            b'"' => {
                piece.at += 1;
                Form::Text { is_escaped: false }
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Form::Scalar,
            _ => return Err(piece.invalid(expected)),
        };
        self.state = State::Value { start, role, form };
        Ok(())
    }

    /// Ends a value just before the position.
    fn end_value(&mut self, start: u64, role: Role, piece: &mut Piece<'_>) {
        let end = piece.offset();
        match role {
            Role::Document => {
                piece.found.push(Found::Record { start, end });
                self.state = State::Between;
            }
            Role::Item => {
                piece.found.push(Found::Record { start, end });
                self.state = State::ItemEnd;
            }
            Role::Member => self.state = State::MemberEnd,
            Role::Mismatch => self.end_document(piece),
        }
    }

    /// Ends a document just before the position.
    fn end_document(&mut self, piece: &mut Piece<'_>) {
        self.state = State::Between;
        if !self.has_list {
            self.keep_head(piece);
            let document = WithoutList {
                start: self.document,
                end: piece.offset(),
                head: std::mem::take(&mut self.head),
                reason: self.without_list(),
            };
            piece.found.push(Found::WithoutList(Box::new(document)));
        }
    }

    fn without_list(&self) -> String {
        let path = &self.path;
        match self.mismatch {
            Some((expected, found)) => {
                format!("{expected} is expected on the path of the records `{path}`, found {found}")
            }
            None => format!("there is no list on the path of the records `{path}`"),
        }
    }

    /// Returns true if the first bytes of documents are kept.
    fn has_head(&self) -> bool {
        self.path.is_list() && !(self.path.members().is_empty() && self.has_list)
    }

    /// Keeps the first bytes of the open document, as far as they are in this piece before the position.
    fn keep_head(&mut self, piece: &Piece<'_>) {
        let start = piece.position_of(self.document);
        let missing = OVERSIZED_HEAD_BYTES.saturating_sub(self.head.len());
        let end = piece.at.min(start.saturating_add(missing));
        let bytes = piece.text.get(start..end).unwrap_or_default();
        self.head.extend_from_slice(bytes);
    }

    /// Reads a key to its closing quote, or to the end of the piece.
    fn read_key(&mut self, piece: &mut Piece<'_>) {
        while let Some(byte) = piece.text.get(piece.at) {
            piece.at += 1;
            if !self.is_escaped && *byte == b'"' {
                self.state = State::Colon;
                return;
            }
            self.is_escaped = !self.is_escaped && *byte == b'\\';
            if self.key.len() <= MAX_KEY_BYTES {
                self.key.push(*byte);
            }
        }
    }
}

impl Form {
    /// Returns the end of the value, if it is in this piece. The search goes on at `at`.
    fn find_end(&mut self, text: &[u8], at: usize) -> Option<usize> {
        let rest = || text.get(at..).unwrap_or_default();
        match self {
            Self::Brackets(structure) => structure.find_end(text, at),
            Self::Text { is_escaped } => {
                let is_end = |byte: &u8| {
                    let is_end = !*is_escaped && *byte == b'"';
                    *is_escaped = !*is_escaped && *byte == b'\\';
                    is_end
                };
                let end = rest().iter().position(is_end)?;
                Some(at + end + 1)
            }
            Self::Scalar => {
                let is_end = |byte: &u8| is_space(*byte) || b",:]}[{\"".contains(byte);
                let end = rest().iter().position(is_end)?;
                Some(at + end)
            }
        }
    }
}

/// Returns true if a key, as it is written between its quotes, is this one.
fn is_key(written: &[u8], key: &str) -> bool {
    if !written.contains(&b'\\') {
        return written == key.as_bytes();
    }
    let quoted = [b"\"", written, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).is_ok_and(|written| written == key)
}

/// Returns the kind of the value that begins with a byte.
fn kind(byte: u8) -> Option<&'static str> {
    Some(match byte {
        b'{' => "an object",
        b'[' => "a list",
        b'"' => "a string",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        b'-' | b'0'..=b'9' => "a number",
        _ => return None,
    })
}
