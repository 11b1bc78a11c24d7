//! The pages of a column chunk, in memory, and what the metadata says of them.

use std::collections::BTreeSet;

use parquet::basic::{BoundaryOrder, Compression, Encoding, EncodingMask, PageType, Type};
use parquet::column::page::{CompressedPage, Page};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::compress::Workshop;
use super::pages::Pages;
use super::statistics::{lower_bound, statistics, upper_bound};

/// What the properties say of a column's pages and metadata.
#[derive(Debug)]
struct Settings {
    compression: Compression,
    statistics: EnabledStatistics,
    in_page_headers: bool,
    /// Most bytes of a bound in statistics and in the column index.
    most_in_statistics: Option<usize>,
    most_in_index: Option<usize>,
}

/// A chunk that takes pages.
pub(super) struct Chunk {
    descriptor: ColumnDescPtr,
    settings: Settings,
    pages: Pages,
    /// Of the page that comes first in the file, though it is ready last; 0 as long as it is not.
    dictionary_bytes: usize,
    rows: u64,
    nulls: u64,
    /// With the headers of the pages.
    uncompressed: usize,
    encodings: BTreeSet<Encoding>,
    page_encodings: Vec<PageEncodingStats>,
    value_bytes: Option<usize>,
    levels: Option<LevelHistogram>,
    /// The least and the greatest value.
    bounds: Option<(Vec<u8>, Vec<u8>)>,
    column_index: ColumnIndexBuilder,
    offset_index: Option<OffsetIndexBuilder>,
    order: Order,
}

/// Whether the bounds of the pages are in order, as far as they have come.
#[derive(Debug)]
struct Order {
    ascending: bool,
    descending: bool,
    /// The bounds of the last page that had any.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

/// What is known of a data page before it is encoded.
pub(super) struct DataPage<'a> {
    pub(super) rows: usize,
    pub(super) nulls: usize,
    /// How many rows are at each definition level; empty where there is only one.
    pub(super) levels: &'a [i64],
    pub(super) bounds: Option<(&'a [u8], &'a [u8])>,
}

impl Chunk {
    pub(super) fn new(descriptor: ColumnDescPtr, properties: &WriterProperties) -> Self {
        let path = descriptor.path();
        let settings = Settings {
            compression: properties.compression(path),
            statistics: properties.statistics_enabled(path),
            in_page_headers: properties.write_page_header_statistics(path),
            most_in_statistics: properties.statistics_truncate_length(),
            most_in_index: properties.column_index_truncate_length(),
        };
        let mut column_index = ColumnIndexBuilder::new(Type::BYTE_ARRAY);
        if settings.statistics != EnabledStatistics::Page {
            column_index.to_invalid();
        }
        let with_levels = settings.statistics != EnabledStatistics::None;
        let offset_index = !properties.offset_index_disabled();
        Self {
            pages: Pages::default(),
            dictionary_bytes: 0,
            rows: 0,
            nulls: 0,
            uncompressed: 0,
            // That of the levels.
            encodings: BTreeSet::from([Encoding::RLE]),
            page_encodings: Vec::new(),
            value_bytes: None,
            levels: LevelHistogram::try_new(descriptor.max_def_level()).filter(|_| with_levels),
            bounds: None,
            column_index,
            offset_index: offset_index.then(OffsetIndexBuilder::new),
            order: Order {
                ascending: true,
                descending: true,
                last: None,
            },
            descriptor,
            settings,
        }
    }

    /// Bytes of the pages that are ready.
    pub(super) fn bytes(&self) -> usize {
        self.pages.bytes()
    }

    pub(super) fn memory(&self) -> usize {
        self.pages.memory()
    }

    /// Takes the bounds of a data page into the indexes, before [`Chunk::add_data_page`].
    pub(super) fn describe(&mut self, page: &DataPage<'_>) -> Option<Statistics> {
        self.rows += page.rows as u64;
        self.nulls += page.nulls as u64;
        let levels = self.levels.as_mut().map(|all| {
            for (level, count) in page.levels.iter().enumerate() {
                all.increment_by(level as i16, *count);
            }
            LevelHistogram::from(page.levels.to_vec())
        });
        if let Some((min, max)) = page.bounds {
            let (least, greatest) = self
                .bounds
                .get_or_insert_with(|| (min.to_vec(), max.to_vec()));
            if min < least.as_slice() {
                *least = min.to_vec();
            }
            if max > greatest.as_slice() {
                *greatest = max.to_vec();
            }
        }
        let bounds = page
            .bounds
            .filter(|_| self.settings.statistics == EnabledStatistics::Page);
        if self.column_index.valid() {
            let nulls = page.nulls as i64;
            match bounds {
                _ if page.rows == page.nulls => {
                    self.column_index
                        .append(true, Vec::new(), Vec::new(), nulls);
                }
                Some((min, max)) => {
                    self.order.add(min, max);
                    let most = self.settings.most_in_index;
                    let (min, max) = (lower_bound(min, most).0, upper_bound(max, most).0);
                    self.column_index.append(false, min, max, nulls);
                }
                None => self.column_index.to_invalid(),
            }
        }
        self.column_index.append_histograms(&None, &levels);
        let most = self.settings.most_in_statistics;
        let in_header = bounds.filter(|_| self.settings.in_page_headers);
        in_header.map(|bounds| statistics(Some(bounds), page.nulls as u64, most))
    }

    /// Adds a data page of `rows` rows, which are encoded in `raw`; its values have `value_bytes`.
    pub(super) fn add_data_page(
        &mut self,
        workshop: &mut Workshop,
        raw: &[u8],
        rows: usize,
        encoding: Encoding,
        value_bytes: usize,
        statistics: Option<Statistics>,
    ) -> Result<()> {
        *self.value_bytes.get_or_insert(0) += value_bytes;
        self.encodings.insert(encoding);
        match self.page_encodings.last_mut() {
            Some(last) if last.encoding == encoding => last.count += 1,
            _ => self.page_encodings.push(PageEncodingStats {
                page_type: PageType::DATA_PAGE,
                encoding,
                count: 1,
            }),
        }
        let uncompressed = raw.len();
        let compressed = workshop.compressed(raw, self.settings.compression)?;
        let page = Page::DataPage {
            buf: compressed.clone(),
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics,
        };
        let offset = self.pages.bytes();
        let page = CompressedPage::new(page, uncompressed);
        let added = self.pages.push(page)?;
        self.uncompressed += added.uncompressed;
        workshop.done(compressed);
        if let Some(index) = &mut self.offset_index {
            index.append_row_count(rows as i64);
            index.append_unencoded_byte_array_data_bytes(Some(value_bytes as i64));
            index.append_offset_and_size(offset as i64, added.bytes as i32);
        }
        Ok(())
    }

    /// Adds the dictionary page, of `values` values; once at most.
    pub(super) fn add_dictionary(
        &mut self,
        workshop: &mut Workshop,
        (values, count): (&[u8], usize),
    ) -> Result<()> {
        self.encodings.insert(Encoding::PLAIN);
        let of_dictionary = PageEncodingStats {
            page_type: PageType::DICTIONARY_PAGE,
            encoding: Encoding::PLAIN,
            count: 1,
        };
        self.page_encodings.insert(0, of_dictionary);
        let compressed = workshop.compressed(values, self.settings.compression)?;
        let page = Page::DictionaryPage {
            buf: compressed.clone(),
            num_values: count as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let page = CompressedPage::new(page, values.len());
        let added = self.pages.push_front(page)?;
        self.uncompressed += added.uncompressed;
        self.dictionary_bytes = added.bytes;
        workshop.done(compressed);
        Ok(())
    }

    /// The bytes of the chunk, and what a row group wants to know of it.
    pub(super) fn close(self) -> Result<(Pages, ColumnCloseResult)> {
        let bytes = self.bytes();
        let mut metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_compression(self.settings.compression)
            .set_encodings_mask(EncodingMask::new_from_encodings(self.encodings.iter()))
            .set_page_encoding_stats(self.page_encodings)
            .set_total_compressed_size(bytes as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(0);
        if self.settings.statistics != EnabledStatistics::None {
            let bounds = self.bounds.as_ref();
            let bounds = bounds.map(|(min, max)| (min.as_slice(), max.as_slice()));
            let most = self.settings.most_in_statistics;
            metadata = metadata
                .set_statistics(statistics(bounds, self.nulls, most))
                .set_unencoded_byte_array_data_bytes(self.value_bytes.map(|bytes| bytes as i64))
                .set_definition_level_histogram(self.levels);
        }
        let mut column_index = self.column_index;
        column_index.set_boundary_order(self.order.of_pages());
        let column_index = column_index.valid().then(|| column_index.build());
        let close = ColumnCloseResult {
            bytes_written: bytes as u64,
            rows_written: self.rows,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: column_index.transpose()?,
            offset_index: self.offset_index.map(OffsetIndexBuilder::build),
        };
        let close = close.update_dictionary_location(self.dictionary_bytes)?;
        Ok((self.pages, close))
    }
}

impl Order {
    fn add(&mut self, min: &[u8], max: &[u8]) {
        if let Some((last_min, last_max)) = &mut self.last {
            let (last, new) = ((last_min.as_slice(), last_max.as_slice()), (min, max));
            self.ascending &= last.0 <= new.0 && last.1 <= new.1;
            self.descending &= last.0 >= new.0 && last.1 >= new.1;
        }
        self.last = Some((min.to_vec(), max.to_vec()));
    }

    fn of_pages(&self) -> BoundaryOrder {
        match (self.ascending, self.descending) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        }
    }
}
