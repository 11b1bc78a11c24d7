use std::io::Read;

use flate2::read::MultiGzDecoder;
use libdeflater::Decompressor;

use super::Deflater;
use super::tokens::MOST_TEXT;

/// Numbers that look random and are always the same (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// Checks that `member` can be read by others, and that it is not larger than it has to be.
#[track_caller]
fn check(bytes: &[u8], member: &[u8]) {
    let mut inflated = Vec::new();
    let read = MultiGzDecoder::new(member).read_to_end(&mut inflated);
    assert_eq!(read.unwrap(), bytes.len());
    assert!(inflated == bytes);
    inflated.fill(0);
    let read = Decompressor::new().gzip_decompress(member, &mut inflated);
    assert_eq!(read.unwrap(), bytes.len());
    assert!(inflated == bytes);
    let (frame, stored_header) = (18, 5);
    let blocks = bytes.len() / (MOST_TEXT as usize / 4) + 1;
    let most = frame + bytes.len() + blocks * stored_header;
    assert!(member.len() <= most, "{} of {most}", member.len());
}

fn gzip(deflater: &mut Deflater, bytes: &[u8]) -> Vec<u8> {
    let mut member = Vec::new();
    deflater.gzip(bytes, &mut member);
    member
}

#[track_caller]
fn round_trip(bytes: &[u8]) -> Vec<u8> {
    let member = gzip(&mut Deflater::new(), bytes);
    check(bytes, &member);
    member
}

fn rows(numbers: &mut Numbers, size: usize) -> Vec<u8> {
    let words = [
        "paris",
        "São Paulo",
        "東京",
        "budget",
        "energy-bill",
        "Mozilla/5.0 (",
    ];
    let mut rows = Vec::new();
    while rows.len() < size {
        let (id, word) = (numbers.next(), words[numbers.below(words.len())]);
        let [count, most] = [numbers.below(9), numbers.below(5000)];
        let numbers: Vec<usize> = (0..count).map(|_| numbers.below(most + 1)).collect();
        let row =
            format!("{{\"id\":\"{id:016x}\",\"segments\":{numbers:?},\"word\":\"{word}\"}}\n");
        rows.extend(row.as_bytes());
    }
    rows.truncate(size);
    rows
}

/// Text of pieces that are new, of few letters, of one byte, or from before.
fn patchwork(numbers: &mut Numbers, size: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(size);
    while text.len() < size {
        let length = 1 << numbers.below(11);
        let length = 1 + numbers.below(length);
        match numbers.below(5) {
            0 => text.extend(numbers.bytes(length)),
            1 => text.extend((0..length).map(|_| b"0123456789abcdef"[numbers.below(16)])),
            2 => text.extend(std::iter::repeat_n(numbers.next() as u8, length)),
            _ if text.is_empty() => {}
            _ => {
                let distance = 1 + numbers.below(text.len().min(70_000));
                for _ in 0..length {
                    text.push(text[text.len() - distance]);
                }
            }
        }
    }
    text.truncate(size);
    text
}

fn kinds(size: usize) -> [Vec<u8>; 7] {
    let mut numbers = Numbers(size as u64);
    [
        numbers.bytes(size),
        (0..size).map(|_| numbers.below(2) as u8).collect(),
        (0..size)
            .map(|_| b"0123456789abcdef"[numbers.below(16)])
            .collect(),
        vec![0; size],
        (0..size).map(|at| at as u8).collect(),
        rows(&mut numbers, size),
        patchwork(&mut numbers, size),
    ]
}

#[test]
fn members_of_any_size_can_be_read_by_others() {
    let mut sizes: Vec<usize> = (0..80).chain(250..270).collect();
    for edge in [32_768, 65_535, 131_070, MOST_TEXT as usize] {
        sizes.extend([edge - 1, edge, edge + 1, edge + 16, edge + 17]);
    }
    let mut deflater = Deflater::new();
    for size in sizes {
        for bytes in kinds(size) {
            check(&bytes, &gzip(&mut deflater, &bytes));
        }
    }
}

#[test]
fn text_of_many_kinds_can_be_read_by_others() {
    let mut deflater = Deflater::new();
    for seed in 0..200 {
        let mut numbers = Numbers(seed);
        let size = 1 << numbers.below(17);
        let size = numbers.below(size);
        let bytes = patchwork(&mut numbers, size);
        check(&bytes, &gzip(&mut deflater, &bytes));
    }
}

#[test]
fn text_of_many_blocks_can_be_read_by_others() {
    let mut numbers = Numbers(1);
    for bytes in [
        vec![b'x'; 3_000_000],
        rows(&mut numbers, 1_000_000),
        patchwork(&mut numbers, 1_000_000),
        numbers.bytes(600_000),
    ] {
        round_trip(&bytes);
    }
}

#[test]
fn equal_bytes_give_equal_members_whatever_was_before() {
    let mut deflater = Deflater::new();
    let blocks = kinds(100_000);
    let fresh: Vec<_> = blocks
        .iter()
        .map(|block| gzip(&mut Deflater::new(), block))
        .collect();
    for turn in 0..blocks.len() {
        for step in 0..blocks.len() {
            let block = (turn + step * 3) % blocks.len();
            assert!(
                gzip(&mut deflater, &blocks[block]) == fresh[block],
                "{turn}, {block}"
            );
        }
    }
}

#[test]
fn a_member_is_added_after_what_is_there() {
    let mut deflater = Deflater::new();
    let mut members = Vec::new();
    deflater.gzip(b"first\n", &mut members);
    deflater.gzip(b"", &mut members);
    deflater.gzip(b"second\n", &mut members);
    let mut inflated = String::new();
    MultiGzDecoder::new(members.as_slice())
        .read_to_string(&mut inflated)
        .unwrap();
    assert_eq!(inflated, "first\nsecond\n");
}

#[test]
fn the_header_has_neither_name_nor_time() {
    let mut compressor = libdeflater::Compressor::default();
    let mut theirs = vec![0; 1000];
    compressor.gzip_compress(b"text", &mut theirs).unwrap();
    assert_eq!(round_trip(b"text")[..10], theirs[..10]);
}

#[test]
fn rows_are_about_as_small_as_of_libdeflate() {
    let rows = rows(&mut Numbers(7), 1 << 20);
    let level = libdeflater::CompressionLvl::new(4).unwrap();
    let mut compressor = libdeflater::Compressor::new(level);
    let mut theirs = vec![0; compressor.gzip_compress_bound(rows.len())];
    let theirs = compressor.gzip_compress(&rows, &mut theirs).unwrap();
    let ours = round_trip(&rows).len();
    assert!(ours * 100 < theirs * 103, "{ours}, {theirs}");
}

/// Literals whose frequencies are Fibonacci numbers ask for codes of up to 25 bits.
#[test]
fn codes_that_would_be_too_long_are_shortened() {
    let mut numbers = Numbers(3);
    let mut text = Vec::new();
    let (mut count, mut next) = (1, 1);
    for letter in 0..25u8 {
        text.extend(std::iter::repeat_n(letter, count));
        (count, next) = (next, count + next);
    }
    // In random order there are few matches.
    for at in (1..text.len()).rev() {
        text.swap(at, numbers.below(at + 1));
    }
    round_trip(&text);
}

#[test]
fn few_bytes_above_127_are_read_back_from_fixed_codes() {
    for bytes in ["São", "東京", "é", "ÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿ"]
    {
        round_trip(bytes.as_bytes());
    }
    for first in 0..=255 {
        let text: Vec<u8> = [b"aaaa".as_slice(), &[first, 255 - first]].concat();
        let member = round_trip(&text);
        assert_eq!(member[10] & 6, 2, "{first}");
    }
}
