//! Bin packing: files divided into groups of about the same size, one for each task.

use std::cmp::Reverse;

use crate::listing::snapshot::SourceFile;

/// Groups whole files into at most `partitions` groups of about the same size in bytes.
///
/// The same files always give the same groups; each group is sorted by key.
pub(crate) fn group_files_by_size(
    mut files: Vec<SourceFile>,
    partitions: usize,
) -> Vec<Vec<SourceFile>> {
    let count = partitions.min(files.len()).max(1);
    files.sort_by(|one, other| {
        let key = |file: &SourceFile| (Reverse(file.meta.size), file.meta.location.clone());
        key(one).cmp(&key(other))
    });
    let mut sized_groups: Vec<(u64, Vec<SourceFile>)> = vec![(0, Vec::new()); count];
    for file in files {
        // The largest remaining file goes to the smallest group.
        if let Some((size, group)) = sized_groups.iter_mut().min_by_key(|(size, _)| *size) {
            *size += file.meta.size;
            group.push(file);
        }
    }
    sized_groups
        .into_iter()
        .map(|(_, mut group)| {
            group.sort_by(|one, other| one.meta.location.cmp(&other.meta.location));
            group
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use object_store::ObjectMeta;

    use super::*;

    fn file(key: &str, size: u64) -> SourceFile {
        SourceFile {
            meta: ObjectMeta {
                location: key.into(),
                last_modified: DateTime::UNIX_EPOCH,
                size,
                e_tag: None,
                version: None,
            },
            partition: Vec::new(),
        }
    }

    #[test]
    fn files_are_grouped_by_size_and_always_alike() {
        let sizes = [("a", 10), ("b", 70), ("c", 40), ("d", 40), ("e", 10)];
        let keys = |files: Vec<SourceFile>, partitions| -> Vec<String> {
            let groups = group_files_by_size(files, partitions).into_iter();
            let keys = groups.map(|group| {
                group
                    .iter()
                    .map(|file| file.meta.location.to_string())
                    .collect()
            });
            keys.collect()
        };
        let files = || sizes.iter().map(|(key, size)| file(key, *size));
        assert_eq!(keys(files().collect(), 2), ["abe", "cd"]);
        assert_eq!(keys(files().rev().collect(), 2), ["abe", "cd"]);
        assert_eq!(keys(files().collect(), 1), ["abcde"]);
        assert_eq!(keys(files().collect(), 9).len(), 5);
    }
}
