//! What is kept of one node, as small as it can be: name and data are one
//! allocation, what only parents need is elsewhere (`slab`), and what many nodes
//! have in common is a number (`class`).

use super::class::ClassId;

/// No data, which is not the same as data of no bytes.
const NULL: u32 = 1 << 31;

/// One node's own values.
#[derive(Debug)]
pub(crate) struct Record {
    /// The name, then the data.
    bytes: Box<[u8]>,
    /// With [`NULL`] added if there is no data.
    name_len: u32,
    pub(super) class: ClassId,
    pub(crate) czxid: i64,
    pub(crate) mzxid: i64,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    pub(crate) version: i32,
    pub(crate) aversion: i32,
}

/// The numbers that a record begins with.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Numbers {
    pub(super) class: ClassId,
    pub(super) czxid: i64,
    pub(super) mzxid: i64,
    pub(super) ctime: i64,
    pub(super) mtime: i64,
    pub(super) version: i32,
    pub(super) aversion: i32,
}

impl Record {
    pub(super) fn new(name: &str, data: Option<&[u8]>, numbers: &Numbers) -> Self {
        let name_len = u32::try_from(name.len()).unwrap_or(NULL);
        assert!(name_len < NULL, "a frame is far below 2 GiB");
        let null = if data.is_none() { NULL } else { 0 };
        Self {
            bytes: joined(name.as_bytes(), data.unwrap_or_default()),
            name_len: name_len | null,
            class: numbers.class,
            czxid: numbers.czxid,
            mzxid: numbers.mzxid,
            ctime: numbers.ctime,
            mtime: numbers.mtime,
            version: numbers.version,
            aversion: numbers.aversion,
        }
    }

    fn name_len(&self) -> usize {
        (self.name_len & !NULL) as usize
    }

    pub(super) fn name_bytes(&self) -> &[u8] {
        &self.bytes[..self.name_len()]
    }

    pub(super) fn name(&self) -> &str {
        std::str::from_utf8(self.name_bytes()).expect("it was made of a str")
    }

    pub(super) fn data(&self) -> Option<&[u8]> {
        (self.name_len & NULL == 0).then(|| &self.bytes[self.name_len()..])
    }

    pub(super) fn data_len(&self) -> usize {
        self.bytes.len() - self.name_len()
    }

    pub(super) fn set_data(&mut self, data: Option<&[u8]>) {
        let start = self.name_len();
        let null = if data.is_none() { NULL } else { 0 };
        self.name_len = (self.name_len & !NULL) | null;
        let data = data.unwrap_or_default();
        if self.data_len() == data.len() {
            self.bytes[start..].copy_from_slice(data);
        } else {
            self.bytes = joined(&self.bytes[..start], data);
        }
    }
}

fn joined(name: &[u8], data: &[u8]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(name.len() + data.len());
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(data);
    bytes.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_its_name_and_tells_null_from_empty() {
        let mut record = Record::new("name", Some(b"data"), &Numbers::default());
        let longer: &[u8] = b"longer than before";
        for data in [
            Some(b"atad".as_slice()),
            None,
            Some(b""),
            Some(longer),
            None,
        ] {
            record.set_data(data);
            assert_eq!((record.name(), record.data()), ("name", data));
            assert_eq!(record.data_len(), data.map_or(0, <[u8]>::len));
        }
        let root = Record::new("", None, &Numbers::default());
        assert_eq!((root.name(), root.data()), ("", None));
    }

    #[test]
    fn records_are_small() {
        assert_eq!(size_of::<Option<Record>>(), 64);
    }
}
