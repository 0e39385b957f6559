//! What the tools say: standard output for answers, standard error for the rest.
//!
//! Messages that Kafka's tools hand to log4j keep its form, because scripts
//! look for them: `[date] LEVEL text (logger)`.

use std::fmt::{Arguments, Display};
use std::io::{self, Write as _};

/// Writes one line of the answer.
pub(crate) fn say(text: impl Display) {
    print(format_args!("{text}\n"));
}

/// Writes part of the answer as it is.
pub(crate) fn print(text: Arguments<'_>) {
    let mut out = io::stdout().lock();
    // A reader that went away (`| head`) ends the tool like a signal would.
    if out.write_fmt(text).and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// Writes one line that is not part of the answer.
pub(crate) fn complain(text: impl Display) {
    // There is nobody left to tell when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

pub(crate) fn warn(text: impl Display, logger: &str) {
    log("WARN", &text, logger);
}

pub(crate) fn error(text: impl Display, logger: &str) {
    log("ERROR", &text, logger);
}

/// The program ends because of it.
pub(crate) fn fatal(text: impl Display, logger: &str) {
    log("FATAL", &text, logger);
}

fn log(level: &str, text: &dyn Display, logger: &str) {
    let now = timestamp(common::clock::system().wall_ms());
    complain(format_args!("[{now}] {level} {text} ({logger})"));
}

/// `2026-11-21 12:29:04,871` in UTC.
pub(crate) fn timestamp(wall_ms: i64) -> String {
    let (days, ms) = (
        wall_ms.div_euclid(86_400_000),
        wall_ms.rem_euclid(86_400_000),
    );
    let (year, month, day) = civil(days);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, milli) = (ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02},{milli:03}")
}

/// `Sat Nov 21 12:26:46 UTC 2026`, as Java prints a date.
pub(crate) fn date(wall_ms: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = wall_ms.div_euclid(86_400_000);
    let (year, month, day) = civil(days);
    let nth = |index: i64| usize::try_from(index).unwrap_or_default();
    let stamp = timestamp(wall_ms);
    let time = stamp.get(11..19).unwrap_or_default();
    let weekday = DAYS[nth(days.rem_euclid(7))];
    let month = MONTHS[nth(month - 1) % MONTHS.len()];
    format!("{weekday} {month} {day:02} {time} UTC {year}")
}

/// Year, month and day of a count of days since 1970 (proleptic Gregorian).
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The count of days since 1970 that `civil` takes apart.
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil() {
        assert_eq!(timestamp(0), "1970-01-01 00:00:00,000");
        assert_eq!(timestamp(951_782_400_123), "2000-02-29 00:00:00,123");
        assert_eq!(timestamp(1_795_264_144_871), "2026-11-21 12:29:04,871");
        for count in (-800_000..800_000).step_by(997) {
            let (year, month, day) = civil(count);
            assert_eq!(days(year, month, day), count);
        }
        assert_eq!(timestamp(-1), "1969-12-31 23:59:59,999");
    }
}
