//! Times and durations as command lines of Kafka's tools write them. Pure.

use regex::Regex;

use crate::console;

/// Reads `YYYY-MM-DDThh:mm:ss.sss`, with `Z`, `+hh`, `+hhmm` or `+hh:mm` after it.
pub(crate) fn datetime(written: &str) -> Result<i64, String> {
    let unparsable = || format!("Unparseable date: \"{written}\"");
    if !written.contains('T') || written.ends_with('T') {
        return Err(
            "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format"
                .to_owned(),
        );
    }
    let form = Regex::new(
        r"^(\d{1,4})-(\d{1,2})-(\d{1,2})T(\d{1,2}):(\d{1,2}):(\d{1,2})\.(\d{1,3})(Z|[+-]\d{2}(?::?\d{2})?)?$",
    )
    .map_err(|_| unparsable())?;
    let found = form.captures(written).ok_or_else(unparsable)?;
    let part = |index: usize| -> i64 {
        let text = found.get(index).map_or("0", |part| part.as_str());
        text.parse().unwrap_or_default()
    };
    let (year, month, day) = (part(1), part(2), part(3));
    let (hour, minute, second, milli) = (part(4), part(5), part(6), part(7));
    let days = console::days(year, month, day);
    let exists = console::civil(days) == (year, month, day);
    if !exists || hour > 23 || minute > 59 || second > 59 {
        return Err(unparsable());
    }
    let zone = found.get(8).map_or("Z", |zone| zone.as_str());
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    let hours: i64 = digits.get(..2).unwrap_or("0").parse().unwrap_or_default();
    let minutes: i64 = digits
        .get(2..)
        .unwrap_or_default()
        .parse()
        .unwrap_or_default();
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let ahead = sign * (hours * 60 + minutes) * 60;
    Ok((seconds - ahead) * 1000 + milli)
}

/// Reads `PnDTnHnMnS` into milliseconds, as Java's `Duration` does.
pub(crate) fn duration(written: &str) -> Option<i64> {
    let form = Regex::new(
        r"(?i)^([+-]?)P(?:([+-]?\d+)D)?(T(?:([+-]?\d+)H)?(?:([+-]?\d+)M)?(?:([+-]?\d+)(?:[.,](\d{0,9}))?S)?)?$",
    )
    .ok()?;
    let found = form.captures(written)?;
    let is_empty = [2, 4, 5, 6].iter().all(|index| found.get(*index).is_none());
    let ends_open = found.get(3).is_some_and(|time| time.as_str().len() == 1);
    if is_empty || ends_open {
        return None;
    }
    let mut millis: i64 = 0;
    for (index, unit) in [(2, 86_400_000), (4, 3_600_000), (5, 60_000), (6, 1000)] {
        if let Some(part) = found.get(index) {
            let count: i64 = part.as_str().parse().ok()?;
            millis = millis.checked_add(count.checked_mul(unit)?)?;
        }
    }
    if let Some(fraction) = found.get(7) {
        let digits: String = fraction
            .as_str()
            .chars()
            .chain("000".chars())
            .take(3)
            .collect();
        let fraction: i64 = digits.parse().ok()?;
        let is_negative = found
            .get(6)
            .is_some_and(|part| part.as_str().starts_with('-'));
        millis += if is_negative { -fraction } else { fraction };
    }
    let is_negative = found.get(1).is_some_and(|sign| sign.as_str() == "-");
    Some(if is_negative { -millis } else { millis })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_and_without_zones() {
        for (written, millis) in [
            ("1970-01-01T00:00:00.000", 0),
            ("1970-01-01T00:00:00.000Z", 0),
            ("1970-01-01T01:00:00.001+01:00", 1),
            ("1970-01-01T00:00:00.000-0130", 5_400_000),
            ("2000-02-29T00:00:00.123", 951_782_400_123),
            ("2026-11-21T12:29:04.871", 1_795_264_144_871),
        ] {
            assert_eq!(datetime(written), Ok(millis), "{written}");
        }
        for written in [
            "2001-02-29T00:00:00.000",
            "2001-02-28T24:00:00.000",
            "2001-02-28T00:00:00",
            "2001-02-28",
        ] {
            assert!(datetime(written).is_err(), "{written}");
        }
    }

    #[test]
    fn durations_as_java_reads_them() {
        for (written, millis) in [
            ("PT1H", Some(3_600_000)),
            ("P1DT2H3M4.5S", Some(93_784_500)),
            ("pt-6h3m", Some(-21_420_000)),
            ("-PT1M", Some(-60_000)),
            ("P", None),
            ("PT", None),
            ("1H", None),
        ] {
            assert_eq!(duration(written), millis, "{written}");
        }
    }
}
