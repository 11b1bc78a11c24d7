//! ETags: predicts that of a completed upload from its token.

use md5::{Digest, Md5};

use crate::staged::UploadToken;

/// Predicts the ETag of the object that completing `token` creates. Returns `None` if it cannot be
/// predicted; even if it can, a store may give another one, for example to encrypted objects.
///
/// A rename keeps the ETag. S3's ETag of a multipart object is the MD5 of its parts' MD5 digests, with
/// the number of parts.
pub fn expected_etag(token: &UploadToken) -> Option<String> {
    match token {
        UploadToken::Rename { etag, .. } => etag.as_deref().map(unquoted_etag),
        UploadToken::Multipart { part_etags, .. } => {
            let mut digest = Md5::new();
            for etag in part_etags {
                digest.update(md5_bytes(&unquoted_etag(etag))?);
            }
            Some(format!("{:x}-{}", digest.finalize(), part_etags.len()))
        }
    }
}

/// Strips the quotes that HTTP puts around an ETag.
pub fn unquoted_etag(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

/// Returns true if an unquoted ETag can be an MD5.
pub(super) fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn md5_bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    if !is_md5(hexadecimal) {
        return None;
    }
    (0..32)
        .step_by(2)
        .map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multipart(part_etags: &[&str]) -> UploadToken {
        UploadToken::Multipart {
            upload_id: "id".into(),
            part_etags: part_etags.iter().map(|etag| (*etag).to_owned()).collect(),
        }
    }

    /// The ETags are those of a real two-part upload of `a` and `b`.
    #[test]
    fn the_etag_of_a_multipart_object_is_predicted() {
        let token = multipart(&[
            "\"0cc175b9c0f1b6a831c399e269772661\"",
            "\"92eb5ffee6ae2fec3ad71c777531578f\"",
        ]);
        let mut digest = Md5::new();
        digest.update(Md5::digest(b"a"));
        digest.update(Md5::digest(b"b"));
        let expected = format!("{:x}-2", digest.finalize());
        assert_eq!(expected_etag(&token), Some(expected));
        assert_eq!(expected_etag(&multipart(&["\"not-an-md5\""])), None);
    }
}
