//! DEFLATE: what is written is read by others, and what is read is what others read.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::input::Input;
use crate::codec::deflate::Deflater;
use crate::jsonl::{Compression, Inflater};

/// The maximum size of an inflated input, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// Makes a text with repetitions of its own bytes, which a matcher has to find.
fn text(data: &[u8]) -> Vec<u8> {
    let mut input = Input::new(data);
    let mut text = Vec::new();
    while !input.is_empty() && text.len() < MAX_TEXT {
        match input.byte() {
            0xff if !text.is_empty() => {
                let distance = 1 + (input.below(256) << 8 | input.below(256)) % text.len();
                let length = 3 + input.below(256) * (1 + input.below(4));
                let start = text.len() - distance;
                for at in start..start + length {
                    text.push(text[at]);
                }
            }
            0xfe => {
                let byte = input.byte();
                let length = input.below(256) << 8;
                text.resize(text.len() + length, byte);
            }
            byte => text.push(byte),
        }
    }
    text
}

pub(super) fn written(data: &[u8]) {
    let text = text(data);
    let mut deflater = Deflater::new();
    let mut member = Vec::new();
    deflater.gzip(&text, &mut member);
    let mut again = Vec::new();
    deflater.gzip(&text, &mut again);
    assert_eq!(
        member, again,
        "what was compressed before makes no difference"
    );
    let mut read = Vec::new();
    MultiGzDecoder::new(member.as_slice())
        .read_to_end(&mut read)
        .unwrap();
    assert_eq!(read, text);
    let mut inflated = Vec::with_capacity(text.len());
    assert!(
        Inflater::new()
            .unwrap()
            .gzip(&member, &mut inflated, text.len())
    );
    assert_eq!(inflated, text);
}

pub(super) fn read(data: &[u8]) {
    let streamed = |bytes| {
        let mut text = Vec::new();
        let reader = Compression::Gzip.detected_reader(bytes).ok()?;
        let read = reader.take(MAX_TEXT as u64).read_to_end(&mut text);
        read.ok().map(|_| text)
    };
    let ours = streamed(data);
    let mut theirs = Vec::new();
    let read = MultiGzDecoder::new(data)
        .take(MAX_TEXT as u64)
        .read_to_end(&mut theirs);
    if read.is_ok() && !data.is_empty() {
        assert_eq!(ours.as_deref(), Some(theirs.as_slice()));
    }
    let mut text = Vec::with_capacity(MAX_TEXT);
    let is_whole = Inflater::new().unwrap().gzip(data, &mut text, MAX_TEXT);
    if is_whole && text.len() < MAX_TEXT {
        assert_eq!(ours, Some(text));
    }
}
