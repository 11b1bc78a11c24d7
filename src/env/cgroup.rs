//! Reads the memory limit that the control groups of Linux set for this process, as in a container.
//!
//! | | version 1 | version 2 |
//! |---|---|---|
//! | line of `/proc/self/cgroup` | `4:memory:/path` | `0::/path` |
//! | folder of the group | `/sys/fs/cgroup/memory/path` | `/sys/fs/cgroup/path` |
//! | files | `memory.limit_in_bytes` | `memory.max`, `memory.high` |
//! | without a limit | a number near 2⁶³ | `max` |
//!
//! A group is also bound by the limits of the groups above it. In a container without a namespace of its
//! own, the path is that of the host, and the container's group is the root of the folder: groups that
//! are not there are passed over.
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>,
//! <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>

use std::fs;
use std::path::Path;

/// Returns the smallest limit in bytes, if there is one. `root` is the root of the file system.
pub(super) fn memory_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    groups
        .lines()
        .filter_map(|line| limit_of_line(root, line))
        .min()
}

fn limit_of_line(root: &Path, line: &str) -> Option<u64> {
    let mut members = line.splitn(3, ':').skip(1);
    let (controllers, group) = (members.next()?, members.next()?);
    let (folder, files): (_, &[&str]) = match controllers {
        "" => ("sys/fs/cgroup", &["memory.max", "memory.high"]),
        _ if controllers.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", &["memory.limit_in_bytes"])
        }
        _ => return None,
    };
    let folder = root.join(folder);
    let groups = Path::new(group.trim_start_matches('/')).ancestors();
    let folders: Vec<_> = groups.map(|group| folder.join(group)).collect();
    folders
        .iter()
        .flat_map(|folder| files.iter().map(|file| folder.join(file)))
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        memory_limit(root.path())
    }

    #[test]
    fn a_group_of_version_2_has_its_limit_and_those_above_it() {
        let group = ("proc/self/cgroup", "0::/kubepods.slice/pod1/run\n");
        let max = |path, text| (path, text);
        assert_eq!(
            limit(&[
                group,
                max("sys/fs/cgroup/kubepods.slice/memory.max", "8589934592\n"),
                max(
                    "sys/fs/cgroup/kubepods.slice/pod1/memory.max",
                    "1073741824\n"
                ),
                max("sys/fs/cgroup/kubepods.slice/pod1/run/memory.max", "max\n"),
            ]),
            Some(1 << 30)
        );
        let high = "sys/fs/cgroup/kubepods.slice/pod1/run/memory.high";
        assert_eq!(limit(&[group, max(high, "536870912\n")]), Some(512 << 20));
        assert_eq!(limit(&[group, max(high, "max\n")]), None);
    }

    #[test]
    fn a_group_of_version_1_is_that_of_the_memory_controller() {
        let groups = "9:cpu,cpuacct:/a\n4:memory:/a/b\n1:name=systemd:/a\n0::/\n";
        let files = [
            ("proc/self/cgroup", groups),
            ("sys/fs/cgroup/cpu/a/memory.limit_in_bytes", "1\n"),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            (
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "2147483648\n",
            ),
            (
                "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
                "3221225472\n",
            ),
        ];
        assert_eq!(limit(&files), Some(2 << 30));
    }

    #[test]
    fn a_container_without_a_namespace_finds_its_group_at_the_root() {
        for (line, file) in [
            (
                "4:memory:/docker/0123\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
            ),
            ("0::/docker/0123\n", "sys/fs/cgroup/memory.max"),
        ] {
            let files = [("proc/self/cgroup", line), (file, "1073741824\n")];
            assert_eq!(limit(&files), Some(1 << 30));
        }
    }

    #[test]
    fn without_groups_there_is_no_limit() {
        assert_eq!(limit(&[]), None);
        assert_eq!(limit(&[("proc/self/cgroup", "nonsense\n::\n")]), None);
    }
}
