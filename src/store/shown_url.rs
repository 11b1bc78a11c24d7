//! Addresses as messages may show them: without user name, password and query.

use std::borrow::Cow;

/// Returns an address with `…` in place of what may be a secret: user name and password, and a query,
/// which may hold a signature. `text` need not be a valid URL; a path stays as it is.
pub fn shown_url(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Cow::Borrowed(text);
    };
    let (userinfo, address) = match userinfo_end(rest) {
        Some(end) => ("…@", rest.get(end..).unwrap_or_default()),
        None => ("", rest),
    };
    let (address, query) = match address.split_once('?') {
        Some((address, _)) => (address, "?…"),
        None => (address, ""),
    };
    if userinfo.is_empty() && query.is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{scheme}://{userinfo}{address}{query}"))
}

/// Returns the position after the `@` that ends the user name and password. They may hold a `/` that
/// should have been escaped: an `@` of a path has no `:` before it.
fn userinfo_end(rest: &str) -> Option<usize> {
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest.get(..authority_end)?;
    match authority.rfind('@') {
        Some(at) => Some(at + 1),
        None if authority.contains(':') && !has_port(authority) => rest.rfind('@').map(|at| at + 1),
        None => None,
    }
}

fn has_port(authority: &str) -> bool {
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    port.is_some_and(|port| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_addresses_are_hidden() {
        for (text, shown) in [
            ("s3://id:secret@bucket/a/", "s3://…@bucket/a/"),
            ("http://token@host:9000", "http://…@host:9000"),
            ("http://user:pa/ss@host/x", "http://…@host/x"),
            ("http://user:pa?ss@host/x", "http://…@host/x"),
            ("http://user:p@ss@host/x?sig=1", "http://…@host/x?…"),
            ("s3://b/x?X-Amz-Signature=1", "s3://b/x?…"),
        ] {
            assert_eq!(shown_url(text), shown, "{text}");
        }
        for text in [
            "s3://bucket/a@b/",
            "http://host:9000/a@b",
            "/folder/a@b",
            "out",
        ] {
            assert_eq!(shown_url(text), text);
        }
    }
}
