//! Disks that fail or are full.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A disk whose `sync` fails at the given call.
#[derive(Debug)]
struct Failing {
    fails_at: usize,
    syncs: usize,
    writes: Arc<AtomicUsize>,
}

impl log::Medium for Failing {
    fn write_at(&mut self, _: &[u8], _: u64) -> io::Result<()> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn grow(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        if self.syncs == self.fails_at {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

#[test]
fn a_failed_sync_is_final() {
    let writes = Arc::new(AtomicUsize::new(0));
    let medium = Failing {
        fails_at: 2,
        syncs: 0,
        writes: Arc::clone(&writes),
    };
    let settings = log::Settings {
        preallocate: 1 << 20,
        sync: true,
    };
    let mut writer = log::Writer::over(Box::new(medium), "log".into(), 24, 1, settings);
    writer.append(&[entry(1)]).unwrap();
    let error = writer.append(&[entry(2)]).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    for _ in 0..2 {
        let error = writer.append(&[entry(2)]).unwrap_err();
        assert!(matches!(error, Error::Failed), "{error}");
    }
    // Two batches and one mark.
    assert_eq!(writes.load(Ordering::Relaxed), 3);
}

/// A disk without room until it is given some.
#[derive(Debug)]
struct Full {
    room: Arc<AtomicUsize>,
}

impl log::Medium for Full {
    fn write_at(&mut self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }

    fn grow(&mut self, _: u64, to: u64) -> io::Result<()> {
        if to > self.room.load(Ordering::Relaxed) as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    let room = Arc::new(AtomicUsize::new(100));
    let medium = Box::new(Full {
        room: Arc::clone(&room),
    });
    let settings = log::Settings {
        preallocate: 1 << 20,
        sync: true,
    };
    let mut writer = log::Writer::over(medium, "log".into(), 24, 1, settings);
    for _ in 0..2 {
        let error = writer.append(&[entry(1)]).unwrap_err();
        assert!(error.is_disk_full(), "{error}");
    }
    // The step does not fit, but what has to be written does.
    room.store(120, Ordering::Relaxed);
    writer.append(&[entry(1)]).unwrap();
    assert!(writer.append(&[entry(2)]).unwrap_err().is_disk_full());
    room.store(1 << 20, Ordering::Relaxed);
    writer.append(&[entry(2)]).unwrap();
    assert_eq!(writer.next_zxid(), 3);
}
