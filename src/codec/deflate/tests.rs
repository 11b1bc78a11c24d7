use std::io::Read;

use fastrand::Rng;
use flate2::read::MultiGzDecoder;
use libdeflater::Decompressor;

use super::Deflater;
use super::tokens::MAX_BLOCK_TEXT;

fn random_bytes(random: &mut Rng, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    random.fill(&mut bytes);
    bytes
}

fn hexadecimal_digit(random: &mut Rng) -> u8 {
    random.digit(16) as u8
}

/// Checks that other decoders can read `member`, and that it is not larger than stored blocks.
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
    let blocks = bytes.len() / (MAX_BLOCK_TEXT as usize / 4) + 1;
    let max = frame + bytes.len() + blocks * stored_header;
    assert!(member.len() <= max, "{} of {max}", member.len());
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

fn rows(random: &mut Rng, size: usize) -> Vec<u8> {
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
        let (id, word) = (random.u64(..), words[random.usize(..words.len())]);
        let [count, max] = [random.usize(..9), random.usize(..5000)];
        let segments: Vec<usize> = (0..count).map(|_| random.usize(..=max)).collect();
        let row =
            format!("{{\"id\":\"{id:016x}\",\"segments\":{segments:?},\"word\":\"{word}\"}}\n");
        rows.extend(row.as_bytes());
    }
    rows.truncate(size);
    rows
}

/// Returns text of random pieces: of any bytes, of 16 letters, of one byte repeated, or copied from
/// earlier text.
fn patchwork(random: &mut Rng, size: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(size);
    while text.len() < size {
        let max_length = 1 << random.usize(..11);
        let length = random.usize(1..=max_length);
        match random.usize(..5) {
            0 => text.extend(random_bytes(random, length)),
            1 => text.extend((0..length).map(|_| hexadecimal_digit(random))),
            2 => text.extend(std::iter::repeat_n(random.u8(..), length)),
            _ if text.is_empty() => {}
            _ => {
                let distance = random.usize(1..=text.len().min(70_000));
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
    let mut random = Rng::with_seed(size as u64);
    [
        random_bytes(&mut random, size),
        (0..size).map(|_| random.u8(..2)).collect(),
        (0..size).map(|_| hexadecimal_digit(&mut random)).collect(),
        vec![0; size],
        (0..size).map(|at| at as u8).collect(),
        rows(&mut random, size),
        patchwork(&mut random, size),
    ]
}

#[test]
fn members_of_any_size_can_be_read_by_other_decoders() {
    let mut sizes: Vec<usize> = (0..80).chain(250..270).collect();
    for edge in [32_768, 65_535, 131_070, MAX_BLOCK_TEXT as usize] {
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
fn text_of_many_kinds_can_be_read_by_other_decoders() {
    let mut deflater = Deflater::new();
    for seed in 0..200 {
        let mut random = Rng::with_seed(seed);
        let size_limit = 1 << random.usize(..17);
        let size = random.usize(..size_limit);
        println!("seed {seed}");
        let bytes = patchwork(&mut random, size);
        check(&bytes, &gzip(&mut deflater, &bytes));
    }
}

#[test]
fn text_of_many_blocks_can_be_read_by_others() {
    let mut random = Rng::with_seed(1);
    for bytes in [
        vec![b'x'; 3_000_000],
        rows(&mut random, 1_000_000),
        patchwork(&mut random, 1_000_000),
        random_bytes(&mut random, 600_000),
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
    let rows = rows(&mut Rng::with_seed(7), 1 << 20);
    let level = libdeflater::CompressionLvl::new(4).unwrap();
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(rows.len())];
    let theirs = compressor.gzip_compress(&rows, &mut out).unwrap();
    let ours = round_trip(&rows).len();
    assert!(ours * 100 < theirs * 103, "{ours}, {theirs}");
}

/// Literals whose frequencies are Fibonacci numbers would need codes of up to 25 bits.
#[test]
fn codes_that_would_be_too_long_are_shortened() {
    let mut random = Rng::with_seed(3);
    let mut text = Vec::new();
    let (mut count, mut next) = (1, 1);
    for letter in 0..25u8 {
        text.extend(std::iter::repeat_n(letter, count));
        (count, next) = (next, count + next);
    }
    // In random order there are few matches.
    random.shuffle(&mut text);
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
