//! The cleaner's own configuration, out of the keys.

use common::config::Values;

use super::{Error, invalid};
use crate::log::{CleanerConfig, DEDUPE_BUFFER_MIN};

/// `None` when `log.cleaner.enable` is off.
pub(super) fn cleaner(values: &Values) -> Result<Option<CleanerConfig>, Error> {
    const BUFFER: &str = "log.cleaner.dedupe.buffer.size";
    const LOAD_FACTOR: &str = "log.cleaner.dedupe.buffer.load.factor";
    const RATE: &str = "log.cleaner.io.max.bytes.per.second";
    let count = |name| usize::try_from(values.i32(name)).unwrap_or(0);
    let config = CleanerConfig {
        threads: count("log.cleaner.threads"),
        dedupe_buffer_bytes: u64::try_from(values.i64(BUFFER)).unwrap_or(0),
        dedupe_buffer_load_factor: values.f64(LOAD_FACTOR),
        io_buffer_bytes: count("log.cleaner.io.buffer.size"),
        io_bytes_per_second_max: values.f64(RATE),
    };
    let per_thread = config.dedupe_buffer_bytes / config.threads.max(1) as u64;
    if per_thread <= DEDUPE_BUFFER_MIN {
        let reason = format!("{BUFFER} must be at least 1MB per cleaner thread.");
        return Err(invalid(values, BUFFER, reason));
    }
    if !(config.dedupe_buffer_load_factor > 0.0 && config.dedupe_buffer_load_factor <= 1.0) {
        let reason = "expected more than 0 and at most 1";
        return Err(invalid(values, LOAD_FACTOR, reason));
    }
    if config.io_bytes_per_second_max.is_nan() || config.io_bytes_per_second_max <= 0.0 {
        return Err(invalid(values, RATE, "expected more than 0"));
    }
    Ok(values.bool("log.cleaner.enable").then_some(config))
}
