//! One page of a listing: prefix, delimiter, start and page size applied to sorted keys.

use super::state::Object;
use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

#[derive(Clone, Debug, Default)]
pub(super) struct ListQuery {
    pub prefix: String,
    pub delimiter: Option<String>,
    /// The listing starts behind this key.
    pub start_after: String,
    /// The [`Page::next`] of the previous page.
    pub token: Option<String>,
    pub page_size: usize,
}

#[derive(Debug, Default)]
pub(super) struct Page<'a> {
    pub objects: Vec<(&'a String, &'a Object)>,
    pub common_prefixes: Vec<String>,
    /// The token to continue with, if there are more entries: the last entry of this page.
    pub next: Option<String>,
}

impl Page<'_> {
    pub(super) fn len(&self) -> usize {
        self.objects.len() + self.common_prefixes.len()
    }
}

impl ListQuery {
    pub(super) fn page<'a>(&self, objects: &'a BTreeMap<String, Object>) -> Page<'a> {
        let after = self.token.as_ref().unwrap_or(&self.start_after);
        let start = if *after < self.prefix {
            Included(&self.prefix)
        } else {
            Excluded(after)
        };
        let candidates = objects
            .range::<String, _>((start, Unbounded))
            .take_while(|(key, _)| key.starts_with(&self.prefix))
            .filter(|(key, _)| !self.was_rolled_up(key));

        let mut page = Page::default();
        let mut last_entry = String::new();
        for (key, object) in candidates {
            let common_prefix = self.common_prefix(key);
            if common_prefix.is_some() && common_prefix == page.common_prefixes.last().cloned() {
                continue;
            }
            if page.len() == self.page_size {
                page.next = (self.page_size > 0).then_some(last_entry);
                return page;
            }
            match common_prefix {
                Some(common_prefix) => {
                    last_entry.clone_from(&common_prefix);
                    page.common_prefixes.push(common_prefix);
                }
                None => {
                    last_entry.clone_from(key);
                    page.objects.push((key, object));
                }
            }
        }
        page
    }

    /// Returns the key up to and including the first delimiter after the prefix.
    fn common_prefix(&self, key: &str) -> Option<String> {
        let delimiter = self.delimiter.as_ref()?;
        let rest = &key[self.prefix.len()..];
        let length = self.prefix.len() + rest.find(delimiter.as_str())? + delimiter.len();
        Some(key[..length].to_owned())
    }

    /// Returns true if the key belongs to the common prefix that ended the previous page.
    fn was_rolled_up(&self, key: &str) -> bool {
        self.token.is_some() && self.common_prefix(key) == self.token
    }
}
