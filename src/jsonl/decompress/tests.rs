//! Detection, decompression and their errors.

use std::io::Write;

use flate2::write::GzEncoder;

use super::*;

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn zst(text: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::stream::encode_all(text.as_ref(), 0).unwrap()
}

fn read(key: &str, declared: Compression, stored: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    declared.reader(key, stored)?.read_to_string(&mut text)?;
    Ok(text)
}

fn inflate(compression: Compression, stored: &[u8]) -> io::Result<String> {
    read("x", compression, stored)
}

/// Returns the error of a file that is read with the default declaration.
fn file_error(stored: &[u8]) -> FileError {
    FileError::of(&inflate(Compression::Auto, stored).unwrap_err()).unwrap()
}

#[test]
fn all_members_and_frames_are_read() {
    let members = [gzip("one\n"), gzip(""), gzip("two")].concat();
    assert_eq!(inflate(Compression::Gzip, &members).unwrap(), "one\ntwo");
    let frames = [zst("one\n"), zst(""), zst("two")].concat();
    assert_eq!(inflate(Compression::Zstd, &frames).unwrap(), "one\ntwo");
    assert_eq!(inflate(Compression::None, b"one").unwrap(), "one");
}

#[test]
fn truncated_data_is_an_error_wherever_it_ends() {
    let text = "a line of text\n".repeat(1000);
    for (compression, stored) in [
        (Compression::Gzip, [gzip("first"), gzip(&text)].concat()),
        (Compression::Zstd, zst(&text)),
    ] {
        let first = match compression {
            Compression::Gzip => gzip("first").len(),
            _ => 0,
        };
        for length in first + 1..stored.len() {
            let error = inflate(compression, &stored[..length]).unwrap_err();
            assert_eq!(
                error.kind(),
                io::ErrorKind::UnexpectedEof,
                "{compression:?} {length}"
            );
        }
    }
}

#[test]
fn the_bytes_decide_whatever_the_name_is() {
    let gzipped = gzip("one\n");
    for key in ["a.json", "a", "A.JSON.GZ", "a.gz", "a.zst", "part-0000"] {
        assert_eq!(read(key, Compression::Auto, &gzipped).unwrap(), "one\n");
        let text = "{\"caf\u{e9}\": 1}\n".repeat(100);
        assert_eq!(read(key, Compression::Auto, text.as_bytes()).unwrap(), text);
        assert_eq!(read(key, Compression::Auto, &zst("one")).unwrap(), "one");
        assert_eq!(read(key, Compression::Auto, b"").unwrap(), "");
    }
}

#[test]
fn a_declared_compression_that_the_bytes_contradict_is_an_error() {
    let files: [(Compression, &[u8]); 3] = [
        (Compression::None, b"{\"a\": 1}\n"),
        (Compression::Gzip, &gzip("one")),
        (Compression::Zstd, &zst("one")),
    ];
    for (declared, _) in &files {
        assert_eq!(inflate(*declared, b"").unwrap(), "");
        for (compression, stored) in &files {
            let text = inflate(*declared, stored);
            match declared == compression {
                true => assert!(text.is_ok()),
                false => assert!(matches!(
                    FileError::of(&text.unwrap_err()),
                    Some(FileError::NotAsDeclared { .. })
                )),
            }
        }
    }
}

#[test]
fn damage_to_the_magic_of_a_compressed_file_does_not_make_it_text() {
    for (key, mut stored) in [("a.json.gz", gzip("one")), ("A.ZST", zst("one"))] {
        stored[0] = 0;
        let error = read(key, Compression::Auto, &stored).unwrap_err();
        assert_eq!(FileError::of(&error), Some(FileError::NotAsNamed));
    }
}

#[test]
fn zeros_behind_members_are_skipped_and_other_bytes_are_an_error() {
    for zeros in [1, 2, 3, 4, 511, 100_000] {
        let padding = vec![0; zeros];
        let padded = [gzip("one\n"), padding.clone(), gzip("two"), padding.clone()].concat();
        assert_eq!(inflate(Compression::Auto, &padded).unwrap(), "one\ntwo");
        for trailing in ["rest", "\u{1f}", "\u{1f}rest and more", "{\"a\": 1}\n"] {
            let offset = (gzip("one").len() + zeros) as u64;
            let stored = [&gzip("one")[..], &padding, trailing.as_bytes()].concat();
            let error = inflate(Compression::Auto, &stored).unwrap_err();
            let expected = FileError::TrailingBytes {
                compression: Compression::Gzip,
                offset: Some(offset),
            };
            match trailing {
                // The first byte of a member that is cut off.
                "\u{1f}" => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
                _ => assert_eq!(FileError::of(&error), Some(expected)),
            }
        }
    }
    let error = file_error(&[zst("one"), b"rest".to_vec()].concat());
    assert!(matches!(
        error,
        FileError::TrailingBytes { offset: None, .. }
    ));
}

#[test]
fn other_formats_are_named_also_inside_a_compression() {
    let utf16: Vec<u8> = "{\"a\": 1}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for content in [
        &b"BZh91AY&SY\x94"[..],
        b"\xfd7zXZ\0\0",
        b"\x04\x22\x4d\x18\x64",
        b"PK\x03\x04\x14\0",
        b"PAR1\x15\x04",
        b"Obj\x01\x04",
        b"ORC\x08\x03",
        b"\xff\xfe{\0",
        &utf16,
    ] {
        let kind = ContentKind::of(content);
        assert_eq!(
            file_error(content),
            FileError::Unreadable { kind, inside: None }
        );
        let inside = Some(Compression::Gzip);
        assert_eq!(
            file_error(&gzip(content)),
            FileError::Unreadable { kind, inside }
        );
        let inside = Some(Compression::Zstd);
        assert_eq!(
            file_error(&zst(content)),
            FileError::Unreadable { kind, inside }
        );
    }
    let twice = file_error(&gzip(gzip("one")));
    assert_eq!(twice.to_string(), "has gzip inside gzip, not JSON lines");
}

#[test]
fn frames_of_zstd_are_read_up_to_a_window_of_128_mib() {
    let text = "a line of text\n".repeat(1000);
    let with_window = |log: u32| {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.long_distance_matching(true).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(inflate(Compression::Auto, &with_window(27)).unwrap(), text);
    assert_eq!(file_error(&with_window(28)), FileError::WindowTooLarge);
}

#[test]
fn skippable_frames_are_skipped() {
    let skippable = b"\x5a\x2a\x4d\x18\x03\0\0\0abc".to_vec();
    let frames = [
        skippable.clone(),
        zst("one"),
        skippable.clone(),
        zst("two"),
        skippable.clone(),
    ];
    assert_eq!(
        inflate(Compression::Auto, &frames.concat()).unwrap(),
        "onetwo"
    );
    assert_eq!(inflate(Compression::Auto, &skippable).unwrap(), "");
}
