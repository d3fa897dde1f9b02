//! Checks that there is enough memory before work whose size is known.
//!
//! Linux promises more memory than it has, and later kills the process that uses it without a message. So work whose
//! memory grows with the data checks first: [`Memory::now`], then [`Memory::require`]. On other systems the available
//! memory is unknown, and nothing is refused.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// How much memory is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// In bytes; `None` where it is unknown.
    pub(crate) available: Option<u64>,
}

impl Memory {
    /// What this process may still allocate: what the machine has left, or what its control group (a container) allows.
    pub(crate) fn now() -> Memory {
        Memory::under(Path::new("/"))
    }

    fn under(root: &Path) -> Memory {
        let machine = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
        });
        let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let groups = groups.lines().filter_map(|line| {
            // `0::/path` of version 2, `4:memory:/path` of version 1.
            let mut parts = line.splitn(3, ':').skip(1);
            match (parts.next()?, parts.next()?) {
                ("", path) => left(&root.join("sys/fs/cgroup"), path, &VERSION_2),
                ("memory", path) => left(&root.join("sys/fs/cgroup/memory"), path, &VERSION_1),
                _ => None,
            }
        });
        Memory { available: machine.into_iter().chain(groups).min() }
    }

    /// Checks that there is room for `needed` bytes.
    ///
    /// # Errors
    /// If there is not: `work` says what they are for and `advice` what to lower.
    pub(crate) fn require(self, needed: u64, work: &str, advice: &str) -> Result<()> {
        match self.available {
            Some(available) if available < needed => Err(Error::Memory {
                work: work.to_owned(),
                needed: shown(needed),
                available: shown(available),
                advice: advice.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// Makes the C library keep freed memory for the next training step. If it went back to the system, every page would be
/// cleared before its next use, which cost a sixth of the training time.
pub(crate) fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (option, bytes) in [
        // The largest that is allowed.
        (libc::M_MMAP_THRESHOLD, 32 << 20),
        (libc::M_TRIM_THRESHOLD, 1 << 30),
        (libc::M_TOP_PAD, 64 << 20),
    ] {
        // SAFETY: sets a number of the allocator, which may be called at any time.
        unsafe { libc::mallopt(option, bytes) };
    }
}

/// Files of a control group: its limit, its usage, and the key in `memory.stat` of the page cache, which the system
/// gives back when memory is short.
type Names = [&'static str; 3];
const VERSION_2: Names = ["memory.max", "memory.current", "inactive_file"];
const VERSION_1: Names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];

/// The least memory that this control group or one of its parents still allows.
fn left(mount: &Path, path: &str, [limit, used, cache]: &Names) -> Option<u64> {
    let number = |text: String| text.trim().parse::<u64>().ok();
    let read = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).ok();
    // In a container the path may be the host's, while this file system shows the group itself at its root.
    let group = mount.join(path.trim_start_matches('/'));
    let around = group.ancestors().take_while(|folder| folder.starts_with(mount));
    let lefts = around.filter_map(|folder| {
        let limit = number(read(folder, limit)?)?;
        let used = number(read(folder, used)?)?;
        let statistics = read(folder, "memory.stat").unwrap_or_default();
        let cached =
            statistics.lines().find_map(|line| line.strip_prefix(cache)?.strip_prefix(' '));
        let cached = cached.and_then(|text| number(text.to_owned())).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cached)))
    });
    lefts.min()
}

/// `1.5 GB`, `230 MB`.
fn shown(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes < 1e3 => format!("{bytes} bytes"),
        bytes if bytes < 1e6 => format!("{:.0} kB", bytes / 1e3),
        bytes if bytes < 1e9 => format!("{:.0} MB", bytes / 1e6),
        bytes => format!("{:.1} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn available(files: &[(&str, &str)]) -> Option<u64> {
        Memory::under(root(files).path()).available
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n");

    #[test]
    fn the_smallest_limit_counts() {
        assert_eq!(available(&[MACHINE]), Some(8_192_000));
        let second = ("proc/self/cgroup", "0::/user/me\n");
        let group = |limit: &'static str| {
            [
                MACHINE,
                second,
                ("sys/fs/cgroup/user/me/memory.max", limit),
                ("sys/fs/cgroup/user/me/memory.current", "3000\n"),
                ("sys/fs/cgroup/user/me/memory.stat", "anon 7\ninactive_file 500\n"),
            ]
        };
        assert_eq!(available(&group("10000\n")), Some(7500));
        assert_eq!(available(&group("max\n")), Some(8_192_000), "no limit");
        assert_eq!(available(&group("1000\n")), Some(0), "more in use than allowed");
        let around = [
            ("sys/fs/cgroup/user/memory.max", "5000"),
            ("sys/fs/cgroup/user/memory.current", "4000"),
        ];
        assert_eq!(available(&[&group("10000\n")[..], &around[..]].concat()), Some(1000));
    }

    #[test]
    fn control_groups_of_version_1_and_of_a_container_are_read() {
        let first = ("proc/self/cgroup", "9:name=systemd:/\n4:memory:/docker/0123\n0::/\n");
        let limits = [
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "6000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 200\n"),
        ];
        assert_eq!(available(&[&[MACHINE, first][..], &limits[..]].concat()), Some(5200));
        let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(available(&[MACHINE, first, unlimited, limits[1]]), Some(8_192_000));
    }

    #[test]
    fn where_nothing_is_known_nothing_is_refused() {
        assert_eq!(available(&[]), None);
        assert_eq!(available(&[("proc/meminfo", "MemAvailable: many kB\n")]), None);
        assert!(Memory { available: None }.require(u64::MAX, "it", "wait").is_ok());
    }

    #[test]
    fn a_refusal_says_how_much_for_what_and_what_to_lower() {
        let memory = Memory { available: Some(1_500_000) };
        assert!(memory.require(1_500_000, "it", "wait").is_ok());
        let error = memory.require(2_300_000_000, "this work", "lower `sample`").unwrap_err();
        assert_eq!(
            error.to_string(),
            "not enough memory: this work takes 2.3 GB, and 2 MB are available; lower `sample`"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_some() {
        assert!(Memory::now().available.unwrap() > 1_000_000);
    }
}
