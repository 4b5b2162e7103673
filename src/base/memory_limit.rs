//! How much memory this process may take: the limit of its control group, or the machine's memory.
//!
//! Looked at: `memory.max` of cgroup 2 and `memory.limit_in_bytes` of cgroup 1, in the process's own group and all
//! above it (in a container the own group often is the root of what is visible), and `MemTotal`. The least counts.
//! Cost: some small files read; for start-up and CONFIG SET.
use std::path::{Path, PathBuf};

/// Bytes this process may take; `None` where nothing is known. `root` is `/`, or what a test puts in its place.
pub fn memory_limit(root: &Path) -> Option<u64> {
    let number = |path: PathBuf| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut least = machine_bytes(root);
    // Lines are `number:controllers:/path`; cgroup 2 has no controllers.
    for line in groups.lines().chain(["0::/", "0:memory:/"]) {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            names if names.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let own = Path::new(path.trim_start_matches('/'));
        for group in own.ancestors() {
            // `max` is no number: no limit here.
            let limit = number(root.join(mount).join(group).join(file));
            least = [least, limit].into_iter().flatten().min();
        }
    }
    least
}

fn machine_bytes(root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like `/` to `memory_limit`, gone when dropped.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Root {
            let at =
                std::env::temp_dir().join(format!("rufous-limit-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = at.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Root(at)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        8000000 kB\nMemFree: 1 kB\n");

    #[test]
    fn the_least_of_groups_and_machine_counts() {
        let machine = Some(8_000_000 * 1024);
        assert_eq!(memory_limit(&Root::new("none", &[]).0), None);
        assert_eq!(memory_limit(&Root::new("machine", &[MEMINFO]).0), machine);
        let own = [
            MEMINFO,
            ("proc/self/cgroup", "0::/system.slice/cache.service\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "1000000000\n"),
            ("sys/fs/cgroup/system.slice/cache.service/memory.max", "max\n"),
        ];
        assert_eq!(memory_limit(&Root::new("two", &own).0), Some(1_000_000_000));
        let container = [MEMINFO, ("sys/fs/cgroup/memory.max", "536870912\n")];
        assert_eq!(memory_limit(&Root::new("container", &container).0), Some(536_870_912));
        let old = [
            MEMINFO,
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/1\n"),
            ("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "700000000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(memory_limit(&Root::new("one", &old).0), Some(700_000_000));
    }
}
