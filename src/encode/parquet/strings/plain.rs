//! Values one after the other, each behind its length.

use super::bounds::Bounds;
use super::leaf::TakeValues;

/// Bytes in front of the values, for the levels: a page need not be copied to be put behind them,
/// where these are runs.
const HEADROOM: usize = 64;

/// The values of a data page.
#[derive(Debug)]
pub(super) struct Plain {
    /// Empty, or the headroom and the values.
    page: Vec<u8>,
    values: usize,
    bounds: Option<Bounds>,
    /// What a page has at its end, about, in bytes.
    full: usize,
}

impl Plain {
    /// Of pages that end at `page_bytes`.
    pub(super) fn new(with_bounds: bool, page_bytes: usize) -> Self {
        Self {
            page: Vec::new(),
            values: 0,
            bounds: with_bounds.then(Bounds::default),
            full: page_bytes.saturating_add(page_bytes / 16 + HEADROOM),
        }
    }

    pub(super) fn data_page_size(&self) -> usize {
        self.page.len().saturating_sub(HEADROOM)
    }

    /// The bytes of the values, without their lengths.
    pub(super) fn value_bytes(&self) -> usize {
        self.data_page_size() - 4 * self.values
    }

    /// The data page with `levels` in front; `buffer` is for where they do not fit in otherwise.
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

    pub(super) fn begin_data_page(&mut self) {
        // The next page of the thread gets the memory: it need not be this column's.
        self.page = Vec::new();
        self.values = 0;
    }

    pub(super) fn take_bounds(&mut self) -> Option<(&[u8], &[u8])> {
        self.bounds.as_mut()?.take(&self.page)
    }

    /// Doubles the buffer, but not beyond what a full page needs.
    #[cold]
    fn grow(&mut self, more: usize) {
        let doubled = (2 * self.page.capacity()).min(self.full);
        let more = more.max(doubled.saturating_sub(self.page.len()));
        self.page.reserve_exact(more);
    }

    pub(super) fn memory(&self) -> usize {
        self.page.capacity()
    }
}

impl TakeValues for Plain {
    fn take<'a>(&mut self, _: usize, values: impl Iterator<Item = &'a [u8]>) {
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
