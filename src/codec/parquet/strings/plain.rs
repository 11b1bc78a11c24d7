//! Encodes contiguous values, each after its length.

use super::bounds::Bounds;
use super::leaf::ValueSink;

/// The bytes before the values that are reserved for the levels. Levels that are runs fit in, so that
/// the values need not be copied behind them.
const HEADROOM: usize = 64;

/// The encoder of a data page of plain values.
#[derive(Debug)]
pub(super) struct PlainEncoder {
    /// Empty, or the headroom and the values.
    page: Vec<u8>,
    values: usize,
    bounds: Option<Bounds>,
    /// About the size of a full page, in bytes.
    full: usize,
}

impl PlainEncoder {
    /// Creates an encoder of pages that end at `page_bytes`.
    pub(super) fn new(with_bounds: bool, page_bytes: usize) -> Self {
        Self {
            page: Vec::new(),
            values: 0,
            bounds: with_bounds.then(Bounds::default),
            full: page_bytes.saturating_add(page_bytes / 16 + HEADROOM),
        }
    }

    /// Returns the size of the page, without the levels, in bytes.
    pub(super) fn data_page_size(&self) -> usize {
        self.page.len().saturating_sub(HEADROOM)
    }

    /// Returns the bytes of the values, without their lengths.
    pub(super) fn value_bytes(&self) -> usize {
        self.data_page_size() - 4 * self.values
    }

    /// Returns the data page with `levels` in front; uses `buffer` if they do not fit into the
    /// headroom.
    pub(super) fn data_page<'a>(&'a mut self, levels: &[u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
        if let Some(start) = HEADROOM.checked_sub(levels.len())
            && let Some(room) = self.page.get_mut(start..HEADROOM)
        {
            room.copy_from_slice(levels);
            return self.page.get(start..).unwrap_or_default();
        }
        buffer.extend_from_slice(levels);
        buffer.extend_from_slice(self.page.get(HEADROOM..).unwrap_or_default());
        buffer
    }

    /// Begins the next data page.
    pub(super) fn begin_data_page(&mut self) {
        // Frees the memory for the next page of the thread, which may be another column's.
        self.page = Vec::new();
        self.values = 0;
    }

    /// Returns the bounds of the page, if they are tracked and there are values.
    pub(super) fn take_bounds(&mut self) -> Option<(&[u8], &[u8])> {
        self.bounds.as_mut()?.take(&self.page)
    }

    /// Doubles the buffer, but not beyond the size of a full page.
    #[cold]
    fn grow(&mut self, more: usize) {
        let doubled = (2 * self.page.capacity()).min(self.full);
        let more = more.max(doubled.saturating_sub(self.page.len()));
        self.page.reserve_exact(more);
    }

    /// Returns the memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.page.capacity()
    }
}

impl ValueSink for PlainEncoder {
    fn put_all<'a>(&mut self, _: usize, values: impl Iterator<Item = &'a [u8]>) {
        if self.page.is_empty() {
            self.page.resize(HEADROOM, 0);
        }
        for value in values {
            let at = self.page.len();
            if self.page.capacity() - at < 4 + value.len() {
                self.grow(4 + value.len());
            }
            self.page
                .extend_from_slice(&(value.len() as u32).to_le_bytes());
            self.page.extend_from_slice(value);
            self.values += 1;
            if let Some(bounds) = &mut self.bounds {
                bounds.add(&self.page, value, at);
            }
        }
    }
}
