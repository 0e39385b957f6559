//! In which boot of the machine a directory was last written to.
//!
//! What a killed process wrote is still in the kernel's memory, and the next
//! one reads it. What was not synced when the machine went down is gone. The
//! two are told apart by the kernel's boot id, which stands in a small file in
//! each directory; Kafka leaves a file that it does not know alone.
//!
//! **Invariant:** an absent or unreadable file, and a machine that does not
//! tell its boot id, count as another boot: a loss that cannot be excluded is
//! assumed.

use std::io;
use std::path::Path;

use super::checkpoint::Error;

const FILE_NAME: &str = ".boot-id";
const VERSION: &str = "0";

/// Says whether `dir` was last written to in the boot with this id.
pub(super) fn is_same(dir: &Path, boot_id: Option<&str>) -> bool {
    let Some(boot_id) = boot_id else {
        return false;
    };
    std::fs::read_to_string(dir.join(FILE_NAME)).is_ok_and(|text| text == content(boot_id))
}

/// Writes down that `dir` is written to in this boot.
pub(super) fn note(dir: &Path, boot_id: Option<&str>) -> Result<(), Error> {
    let path = dir.join(FILE_NAME);
    let written = match boot_id {
        Some(_) if is_same(dir, boot_id) => Ok(()),
        Some(boot_id) => common::fs::replace_durably(&path, content(boot_id).as_bytes()),
        None => match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        },
    };
    written.map_err(|source| Error::Io { path, source })
}

fn content(boot_id: &str) -> String {
    format!("{VERSION}\n{boot_id}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_boot_that_was_noted_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert!(!is_same(dir, Some("a")), "nothing was noted");
        note(dir, Some("a")).unwrap();
        assert!(is_same(dir, Some("a")));
        assert!(!is_same(dir, Some("b")));
        assert!(!is_same(dir, None));
        note(dir, Some("b")).unwrap();
        assert!(is_same(dir, Some("b")));
        std::fs::write(dir.join(FILE_NAME), "0\nb").unwrap();
        assert!(!is_same(dir, Some("b")), "a torn file");
        note(dir, None).unwrap();
        assert!(!dir.join(FILE_NAME).exists());
        note(dir, None).unwrap();
    }
}
